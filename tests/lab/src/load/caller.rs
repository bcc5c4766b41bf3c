//! How a user's request gets to the server: at once, or as something in the client lets it.

use std::time::{Duration, Instant};

use poolgate::demo::Random;
use poolgate_native::{Answer, Asked, Client, HttpClient, NoAnswer, Request, Settings};
use tokio::time;

use super::{aws::AdaptiveRetry, sre::SreThrottle, tally::Tally};
use crate::wire::{Kind, WORK};

/// A request that waits in the client's own queue is rejected so long before its deadline: what is sent later would hardly
/// be answered in time.
const LATEST_START: Duration = Duration::from_millis(300);

/// One user's way to the server.
#[derive(Debug)]
pub(super) enum Caller {
    Plain(HttpClient),
    Poolgate(Client),
    Sre(HttpClient, SreThrottle),
    Aws(HttpClient, AdaptiveRetry),
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Served,
    /// Rejected, no answer, or not let out; another attempt may do better.
    Failed,
    /// The client has said that there is no point in trying again.
    GivenUp,
}

impl Caller {
    /// A client that follows the config begins to do so after `appears_after`.
    pub(super) fn new(kind: Kind, http: HttpClient, appears_after: Duration, random: &mut Random) -> Self {
        match kind {
            Kind::Plain => Self::Plain(http),
            Kind::Sre => Self::Sre(http, SreThrottle::default()),
            Kind::Aws => Self::Aws(http, AdaptiveRetry::default()),
            Kind::Poolgate => {
                let client = Client::new(http, Settings::default(), random.next_u64());
                let running = client.clone();
                tokio::spawn(async move {
                    time::sleep(appears_after).await;
                    running.run().await;
                });
                Self::Poolgate(client)
            }
        }
    }

    /// Sends one request, sooner or later before the deadline, or not at all.
    pub(super) async fn attempt(&self, deadline: Instant, tally: &Tally, random: &mut Random) -> Attempt {
        match self {
            Self::Plain(http) => judge(&send(http, deadline, tally).await),
            Self::Poolgate(client) => attempt_with_poolgate(client, deadline, tally).await,
            Self::Sre(http, throttle) => {
                if !throttle.lets_out(Instant::now(), random.unit()) {
                    tally.held_back();
                    return Attempt::Failed;
                }
                let answer = send(http, deadline, tally).await;
                throttle.answered(answer.as_ref().is_ok_and(|answer| answer.status.is_success()), Instant::now());
                judge(&answer)
            }
            Self::Aws(http, retry) => {
                let wait = retry.take(Instant::now());
                if Instant::now() + wait >= deadline {
                    time::sleep_until(deadline.into()).await;
                    tally.held_back();
                    return Attempt::GivenUp;
                }
                time::sleep(wait).await;
                let answer = send(http, deadline, tally).await;
                let throttled = !answer.as_ref().is_ok_and(|answer| answer.status.is_success());
                retry.answered(throttled, Instant::now());
                judge(&answer)
            }
        }
    }
}

async fn attempt_with_poolgate(client: &Client, deadline: Instant, tally: &Tally) -> Attempt {
    let queue_timeout = deadline.saturating_duration_since(Instant::now()).saturating_sub(LATEST_START);
    let ticket = match client.ask(Request { queue_timeout: Some(queue_timeout), ..Request::default() }) {
        Asked::Start(ticket) => Some(ticket),
        Asked::Queued(waiting) => waiting.await.ok(),
        Asked::Rejected(_) => None,
    };
    let Some(ticket) = ticket else {
        tally.held_back();
        return Attempt::GivenUp;
    };
    tally.sent();
    judge(&client.get(ticket, WORK, deadline).await)
}

async fn send(http: &HttpClient, deadline: Instant, tally: &Tally) -> Result<Answer, NoAnswer> {
    tally.sent();
    http.get(WORK, deadline).await
}

fn judge(answer: &Result<Answer, NoAnswer>) -> Attempt {
    match answer {
        Ok(answer) if answer.status.is_success() => Attempt::Served,
        Ok(_) | Err(_) => Attempt::Failed,
    }
}
