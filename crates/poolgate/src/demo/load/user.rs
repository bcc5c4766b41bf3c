//! One user of a load: wants to send at random moments, and sends at once or when its throttle allows it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;
use poolgate_native::{Answer, Asked, Client, HttpClient, NoAnswer, Request, Settings, Ticket};
use tokio::{sync::Semaphore, time};

use super::{
    LoadReport, Random,
    recorder::{Ending, Recorder},
};

/// Maximum number of requests queued in a user's throttle.
const MAX_QUEUE: usize = 8;

/// How long a user waits for an answer, from the attempt to send.
const PATIENCE: Duration = Duration::from_secs(LoadReport::PATIENCE_SECONDS as u64);

/// How long a request may wait in the user's throttle: as long as people watch a spinner, well within [`PATIENCE`].
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of queued or unanswered requests of one user.
const MAX_OUTSTANDING: usize = 64;

/// What all users of a load share.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) http: HttpClient,
    /// The URL that they call.
    pub(super) path: String,
    /// Requests per second of each user.
    pub(super) rate: f64,
    pub(super) poolgate: bool,
    /// No user sends after this.
    pub(super) ends: Instant,
    pub(super) recorder: Recorder,
    /// Limits the unanswered requests of all users.
    pub(super) outstanding: Semaphore,
}

/// Runs one user until the end of the load and of its requests.
pub(super) async fn live(plan: Arc<Plan>, mut random: Random, appears_after: Duration) {
    time::sleep(appears_after).await;
    let settings = Settings { max_queue: MAX_QUEUE, queue_timeout: QUEUE_TIMEOUT, ..Settings::default() };
    let client = plan.poolgate.then(|| Client::new(plan.http.clone(), settings, random.next_u64()));
    let mut obeying: Pin<Box<dyn Future<Output = ()> + Send>> = match &client {
        Some(client) => {
            let client = client.clone();
            Box::pin(async move { client.run().await })
        }
        None => Box::pin(std::future::pending()),
    };
    let ends = plan.ends;
    let mut user = User { plan, random, client, work: FuturesUnordered::new() };
    let mut wants_next = user.after(Instant::now());
    while Instant::now() < ends || !user.work.is_empty() {
        let wanting = Instant::now() < ends;
        tokio::select! {
            () = time::sleep_until(wants_next.min(ends).into()), if wanting => {
                // All requests due by now: a late wake-up must not lower the rate.
                while wants_next <= Instant::now() && wants_next < ends {
                    user.want(wants_next);
                    wants_next = user.after(wants_next);
                }
            }
            Some(()) = user.work.next(), if !user.work.is_empty() => {}
            () = &mut obeying => {}
        }
    }
}

struct User {
    plan: Arc<Plan>,
    random: Random,
    client: Option<Client>,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl User {
    /// The next event of the user's Poisson process.
    fn after(&mut self, moment: Instant) -> Instant {
        moment + Duration::from_secs_f64(self.random.exponential(self.plan.rate))
    }

    fn want(&mut self, wanted: Instant) {
        let plan = Arc::clone(&self.plan);
        plan.recorder.wanted();
        if self.work.len() >= MAX_OUTSTANDING {
            // It is never sent, but for the user it is a failure like any other.
            plan.recorder.sent(false);
            plan.recorder.ended(Ending::Failed);
            return;
        }
        let Some(client) = self.client.clone() else {
            self.work.push(Box::pin(async move { plan.send(wanted, None, false).await }));
            return;
        };
        match client.ask(Request::default()) {
            Asked::Start(ticket) => {
                self.work.push(Box::pin(async move { plan.send(wanted, Some((&client, ticket)), false).await }));
            }
            Asked::Queued(waiting) => {
                plan.recorder.queued();
                self.work.push(Box::pin(async move {
                    // Requests that are still queued at the end of the load would be sent after it.
                    match time::timeout_at(plan.ends.into(), waiting).await {
                        Ok(Ok(ticket)) => plan.send(wanted, Some((&client, ticket)), true).await,
                        Ok(Err(_)) | Err(_) => plan.recorder.given_up(true),
                    }
                }));
            }
            Asked::Rejected(_) => plan.recorder.given_up(false),
        }
    }
}

impl Plan {
    async fn send(&self, wanted: Instant, ticket: Option<(&Client, Ticket)>, was_queued: bool) {
        self.recorder.sent(was_queued);
        let Ok(_slot) = self.outstanding.try_acquire() else {
            self.recorder.ended(Ending::Failed);
            return;
        };
        let deadline = wanted + PATIENCE;
        let answer = match ticket {
            Some((client, ticket)) => client.get(ticket, &self.path, deadline).await,
            None => self.http.get(&self.path, deadline).await,
        };
        self.recorder.ended(judge(&answer, wanted.elapsed()));
    }
}

fn judge(answer: &Result<Answer, NoAnswer>, latency: Duration) -> Ending {
    match answer {
        Ok(Answer { status, .. }) if status.is_success() => Ending::Succeeded(latency),
        Ok(Answer { status: StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, .. }) => Ending::Rejected,
        Ok(_) | Err(_) => Ending::Failed,
    }
}
