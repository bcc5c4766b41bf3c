//! One user of a load: wants to send at random moments, and does so at once or as its throttle lets it.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;
use poolgate_throttle::{Configured, Event, News, Outcome, Permit, Request, RequestId, Settings, Submitted, Throttle};
use poolgate_types::{LoadReport, ThrottlingConfig};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time,
};

use super::{
    feed,
    http::{Answer, HttpClient, NoAnswer},
    recorder::{Ending, Recorder},
};
use crate::demo::random::Random;

/// Requests that may wait in one user's throttle.
const MAX_QUEUE: usize = 8;

/// How long a user waits for an answer, from the moment it wanted to send.
const PATIENCE: Duration = Duration::from_secs(LoadReport::PATIENCE_SECONDS as u64);

/// How long a request may wait in the user's own throttle: what people look at a spinner for, well within [`PATIENCE`].
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests of one user that may be without an answer.
const MAX_OUTSTANDING: usize = 64;

/// What all users of one load have in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) http: HttpClient,
    /// What they call.
    pub(super) path: String,
    /// Requests a second that each wants to send.
    pub(super) rate: f64,
    pub(super) poolgate: bool,
    pub(super) started: Instant,
    /// Nobody wants to send anything after this.
    pub(super) ends: Instant,
    pub(super) recorder: Recorder,
    /// Bounds the requests of all users that are without an answer.
    pub(super) outstanding: Arc<Semaphore>,
}

/// Lives one user's life: until the end of the load and of what it has sent.
pub(super) async fn live(plan: Arc<Plan>, mut random: Random, appears_after: Duration) {
    time::sleep(appears_after).await;
    let (tell, mut news) = mpsc::channel(feed::BACKLOG);
    let id = random.next_u64();
    let mut feed: Pin<Box<dyn Future<Output = ()> + Send>> = if plan.poolgate {
        Box::pin(feed::follow(plan.http.clone(), id, random.clone(), tell))
    } else {
        Box::pin(std::future::pending())
    };
    let mut user = User::new(plan, random);
    let mut feeding = true;
    let mut wants_next = user.after(Instant::now());
    while user.start_what_may() {
        let ends = user.plan.ends;
        let wanting = Instant::now() < ends;
        let wakeup = user.wakeup();
        tokio::select! {
            () = time::sleep_until(wants_next.min(ends).into()), if wanting => {
                // All that is due by now: a late wake-up must not lower the rate.
                while wants_next <= Instant::now() && wants_next < ends {
                    user.want(wants_next);
                    wants_next = user.after(wants_next);
                }
            }
            Some(done) = user.work.next(), if !user.work.is_empty() => user.done(done),
            Some(heard) = news.recv() => user.hear(&heard),
            () = time::sleep_until(wakeup.unwrap_or(ends).into()), if wakeup.is_some() => {}
            () = &mut feed, if feeding => feeding = false,
        }
    }
}

struct User {
    plan: Arc<Plan>,
    random: Random,
    throttle: Option<Throttle>,
    /// When the user wanted to send what waits in the throttle's queue.
    queued: HashMap<RequestId, Instant>,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
    fetches_config: bool,
}

/// A piece of a user's work that is finished.
enum Done {
    Request { wanted: Instant, permit: Option<Permit>, answer: Result<Answer, NoAnswer> },
    Config(Option<ThrottlingConfig>),
}

impl User {
    fn new(plan: Arc<Plan>, mut random: Random) -> Self {
        let settings = Settings { max_queue: MAX_QUEUE, queue_timeout: QUEUE_TIMEOUT };
        let throttle = plan.poolgate.then(|| Throttle::new(settings, random.next_u64()));
        Self { plan, random, throttle, queued: HashMap::new(), work: FuturesUnordered::new(), fetches_config: false }
    }

    /// The next moment of the user's Poisson process.
    fn after(&mut self, moment: Instant) -> Instant {
        moment + Duration::from_secs_f64(self.random.exponential(self.plan.rate))
    }

    /// The throttle's time: since the load began.
    fn now(&self) -> Duration {
        self.plan.started.elapsed()
    }

    fn wakeup(&self) -> Option<Instant> {
        Some(self.plan.started + self.throttle.as_ref()?.next_wakeup()?)
    }

    fn want(&mut self, wanted: Instant) {
        self.plan.recorder.wanted();
        let now = self.now();
        match self.throttle.as_mut().map(|throttle| throttle.submit(Request::default(), now)) {
            None => self.send(wanted, None, false),
            Some(Submitted::Start(permit)) => self.send(wanted, Some(permit), false),
            Some(Submitted::Queued(id)) => {
                self.queued.insert(id, wanted);
                self.plan.recorder.queued();
            }
            Some(Submitted::Rejected(_)) => self.plan.recorder.given_up(false),
        }
    }

    /// Starts what the throttle lets start. `false` when the user has nothing left to do.
    fn start_what_may(&mut self) -> bool {
        loop {
            let now = self.now();
            match self.throttle.as_mut().and_then(|throttle| throttle.poll(now)) {
                Some(Event::Start(id, permit)) => {
                    if let Some(wanted) = self.queued.remove(&id) {
                        self.send(wanted, Some(permit), true);
                    }
                }
                Some(Event::Rejected(id, _)) => {
                    if self.queued.remove(&id).is_some() {
                        self.plan.recorder.given_up(true);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        // What still waits at the end of the load would be sent after it; the recorder counts it as given up.
        Instant::now() < self.plan.ends || !self.work.is_empty()
    }

    fn send(&mut self, wanted: Instant, permit: Option<Permit>, was_queued: bool) {
        let Some(slot) = self.slot() else {
            // It never reaches the wire, but the user is as disappointed as by any other failure.
            self.plan.recorder.sent(was_queued);
            self.plan.recorder.ended(Ending::Failed);
            self.complete(permit, Outcome::Aborted);
            return;
        };
        self.plan.recorder.sent(was_queued);
        let plan = Arc::clone(&self.plan);
        self.work.push(Box::pin(async move {
            let answer = plan.http.get(&plan.path, wanted + PATIENCE).await;
            drop(slot);
            Done::Request { wanted, permit, answer }
        }));
    }

    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let free = self.work.len() < MAX_OUTSTANDING;
        free.then(|| Arc::clone(&self.plan.outstanding).try_acquire_owned().ok())?
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Request { wanted, permit, answer } => {
                let (ending, outcome) = judge(&answer, wanted.elapsed());
                self.plan.recorder.ended(ending);
                self.complete(permit, outcome);
                match answer {
                    Ok(Answer { config: Some(header), .. }) => self.hear(&News::Header(header)),
                    Ok(Answer { status, .. }) if status.is_success() => self.hear(&News::HeaderMissing),
                    _ => {}
                }
            }
            Done::Config(config) => {
                self.fetches_config = false;
                self.hear(&config.map_or(News::NoContact, News::Config));
            }
        }
    }

    fn complete(&mut self, permit: Option<Permit>, outcome: Outcome) {
        let now = self.now();
        if let (Some(throttle), Some(permit)) = (&mut self.throttle, permit) {
            throttle.complete(permit, outcome, now);
        }
    }

    fn hear(&mut self, news: &News) {
        let now = self.now();
        let Some(throttle) = &mut self.throttle else { return };
        // A malformed config is ignored, the last good one stays in force.
        if let Ok(Configured::Missed) = throttle.configure(news, now)
            && !self.fetches_config
        {
            self.fetches_config = true;
            let plan = Arc::clone(&self.plan);
            self.work.push(Box::pin(async move { Done::Config(plan.http.config(Instant::now() + PATIENCE).await) }));
        }
    }
}

fn judge(answer: &Result<Answer, NoAnswer>, latency: Duration) -> (Ending, Outcome) {
    match answer {
        Ok(Answer { status, .. }) if status.is_success() => (Ending::Succeeded(latency), Outcome::Success),
        Ok(Answer { status: StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
            (Ending::Rejected, Outcome::Rejected { retry_after: *retry_after })
        }
        Ok(_) => (Ending::Failed, Outcome::Success),
        Err(NoAnswer::Late) => (Ending::Failed, Outcome::Aborted),
        Err(NoAnswer::NoContact) => (Ending::Failed, Outcome::Failure),
    }
}
