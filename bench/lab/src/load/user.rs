//! One user: wants, tries, tries again, gives up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poolgate::demo::Random;
use tokio::time;

use super::{
    caller::{Attempt, Caller},
    demand::Schedule,
    tally::Tally,
};
use crate::wire::UserFigures;

/// When a user loses interest, from the moment it wanted something.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
/// Before the first retry, half to one and a half times as long; before the second twice that.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Wishes of one user that may be open.
const MAX_OPEN: u32 = 512;

#[derive(Debug)]
pub(super) struct User {
    caller: Caller,
    tally: Arc<Tally>,
    retries: u32,
    rogue: bool,
    heavy: bool,
    open: AtomicU32,
    /// In the window.
    wanted: AtomicU32,
    served: AtomicU32,
}

impl User {
    /// A user that tries each task again up to `retries` times.
    pub(super) fn new(caller: Caller, tally: Arc<Tally>, retries: u32, rogue: bool, heavy: bool) -> Self {
        let [open, wanted, served] = [const { AtomicU32::new(0) }; 3];
        Self { caller, tally, retries, rogue, heavy, open, wanted, served }
    }

    pub(super) fn figures(&self) -> UserFigures {
        let (wanted, served) = (self.wanted.load(Relaxed), self.served.load(Relaxed));
        UserFigures { rogue: self.rogue, heavy: self.heavy, wanted, served }
    }

    fn want(&self, wanted: Instant) {
        self.tally.wanted(wanted);
        if self.tally.is_in_window(wanted) {
            self.wanted.fetch_add(1, Relaxed);
        }
    }

    async fn pursue(&self, wanted: Instant, mut random: Random) {
        let deadline = wanted + DEADLINE;
        for attempt in 0..=self.retries {
            if attempt > 0 {
                let pause = BACK_OFF.mul_f64(f64::from(attempt) * (0.5 + random.unit()));
                if Instant::now() + pause >= deadline {
                    break;
                }
                time::sleep(pause).await;
            }
            match self.caller.attempt(deadline, &self.tally, &mut random).await {
                // An answer may win against a deadline that has passed already when this process is busy.
                Attempt::Served if Instant::now() <= deadline => {
                    self.tally.served(wanted);
                    if self.tally.is_in_window(Instant::now()) {
                        self.served.fetch_add(1, Relaxed);
                    }
                    return;
                }
                Attempt::Failed => {}
                Attempt::Served | Attempt::GivenUp => break,
            }
        }
        self.tally.failed();
    }
}

/// Wants things as the schedule says, however many of them are open.
pub(super) async fn live(user: Arc<User>, mut schedule: Schedule, mut random: Random) {
    while let Some(at) = schedule.next(&mut random) {
        let wanted = user.tally.started() + at;
        time::sleep_until(wanted.into()).await;
        user.want(wanted);
        if user.open.fetch_add(1, Relaxed) >= MAX_OPEN {
            user.open.fetch_sub(1, Relaxed);
            user.tally.failed();
            continue;
        }
        let (user, random) = (Arc::clone(&user), Random::new(random.next_u64()));
        tokio::spawn(async move {
            user.pursue(wanted, random).await;
            user.open.fetch_sub(1, Relaxed);
        });
    }
}

/// Wants the next thing when the last was served or given up.
pub(super) async fn repeat(user: Arc<User>) {
    let mut random = Random::new(1);
    loop {
        let wanted = Instant::now();
        user.want(wanted);
        user.pursue(wanted, Random::new(random.next_u64())).await;
    }
}
