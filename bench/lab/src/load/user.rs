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
use crate::wire::{Habits, UserFigures};

/// Before the first retry, half to one and a half times as long; before the second twice that.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Wishes of one user that may be open.
const MAX_OPEN: u32 = 512;

#[derive(Debug)]
pub(super) struct User {
    caller: Caller,
    tally: Arc<Tally>,
    habits: Habits,
    rogue: bool,
    heavy: bool,
    open: AtomicU32,
    /// In the window.
    wanted: AtomicU32,
    served: AtomicU32,
    failed: AtomicU32,
}

impl User {
    pub(super) fn new(caller: Caller, tally: Arc<Tally>, habits: Habits, rogue: bool, heavy: bool) -> Self {
        let [open, wanted, served, failed] = [const { AtomicU32::new(0) }; 4];
        Self { caller, tally, habits, rogue, heavy, open, wanted, served, failed }
    }

    pub(super) fn figures(&self) -> UserFigures {
        let [wanted, served, failed] = [&self.wanted, &self.served, &self.failed].map(|count| count.load(Relaxed));
        UserFigures { rogue: self.rogue, heavy: self.heavy, wanted, served, failed }
    }

    /// A user begins nothing else before a task is done.
    fn is_occupied(&self) -> bool {
        self.habits.requests > 1 && self.open.load(Relaxed) > 0
    }

    fn want(&self, wanted: Instant) {
        self.tally.wanted(wanted);
        if self.tally.is_in_window(wanted) {
            self.wanted.fetch_add(1, Relaxed);
        }
    }

    async fn pursue(&self, wanted: Instant, mut random: Random) {
        let deadline = wanted + self.habits.patience;
        for _ in 0..self.habits.requests {
            if !self.is_served(deadline, &mut random).await {
                return self.give_up();
            }
        }
        self.tally.served(wanted);
        if self.tally.is_in_window(Instant::now()) {
            self.served.fetch_add(1, Relaxed);
        }
    }

    fn give_up(&self) {
        self.tally.failed();
        if self.tally.is_in_window(Instant::now()) {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    /// Sends one request until it is served, or no attempt is left.
    async fn is_served(&self, deadline: Instant, random: &mut Random) -> bool {
        for attempt in 0..=self.habits.retries {
            if attempt > 0 {
                let pause = BACK_OFF.mul_f64(f64::from(attempt) * (0.5 + random.unit()));
                if Instant::now() + pause >= deadline {
                    break;
                }
                time::sleep(pause).await;
            }
            match self.caller.attempt(deadline, &self.tally, random).await {
                // An answer may win against a deadline that has passed already when this process is busy.
                Attempt::Served if Instant::now() <= deadline => return true,
                Attempt::Failed => {}
                Attempt::Served | Attempt::GivenUp => break,
            }
        }
        false
    }
}

/// Wants things as the schedule says, however many of them are open, unless they are tasks.
pub(super) async fn live(user: Arc<User>, mut schedule: Schedule, mut random: Random) {
    while let Some(at) = schedule.next(&mut random) {
        let wanted = user.tally.started() + at;
        // Before the user is found occupied or not: the later wishes are the same.
        let random = Random::new(random.next_u64());
        time::sleep_until(wanted.into()).await;
        if user.is_occupied() {
            continue;
        }
        user.want(wanted);
        if user.open.fetch_add(1, Relaxed) >= MAX_OPEN {
            user.open.fetch_sub(1, Relaxed);
            user.give_up();
            continue;
        }
        let user = Arc::clone(&user);
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
