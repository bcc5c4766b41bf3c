//! How a user's requests get to the server: at once, or when a throttle in the client lets them.

use std::time::{Duration, Instant};

use poolgate::demo::Random;
use poolgate_bench_rivals::{aws::AdaptiveRetry, sre::ClientThrottle};
use poolgate_native::{Answer, Asked, Client, HttpClient, NoAnswer, Request, Settings};
use tokio::time;

use super::{law::Law, tally::Tally};
use crate::wire::{Kind, WORK};

/// A request in the client's own queue is rejected this long before its deadline: sent later it would hardly be answered
/// in time.
const LATEST_START: Duration = Duration::from_millis(300);

/// One user's way to the server.
#[derive(Debug)]
pub(super) enum Caller {
    Plain(HttpClient),
    Poolgate(Client),
    Sre(HttpClient, Law<ClientThrottle>),
    Aws(HttpClient, Law<AdaptiveRetry>),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Served,
    /// Rejected, not answered, or held back; another attempt may succeed.
    Failed,
    /// The client gives up: another attempt would fail.
    GivenUp,
}

impl Caller {
    /// A client that follows the config starts to do so after `appears_after`.
    pub(super) fn new(kind: Kind, http: HttpClient, appears_after: Duration, random: &mut Random) -> Self {
        match kind {
            Kind::Plain => Self::Plain(http),
            Kind::Sre => Self::Sre(http, Law::default()),
            Kind::Aws => Self::Aws(http, Law::default()),
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

    /// Sends one request, at any moment before the deadline or never.
    pub(super) async fn attempt(&self, deadline: Instant, tally: &Tally, random: &mut Random) -> Attempt {
        match self {
            Self::Plain(http) => judge(&send(http, deadline, tally).await),
            Self::Poolgate(client) => attempt_with_poolgate(client, deadline, tally).await,
            Self::Sre(http, throttle) => {
                let chance = random.unit();
                if !throttle.now(|throttle, now| throttle.lets_out(now, chance)) {
                    tally.held_back();
                    return Attempt::Failed;
                }
                let answer = send(http, deadline, tally).await;
                let attempt = judge(&answer);
                if attempt == Attempt::Served {
                    throttle.now(ClientThrottle::accept);
                }
                attempt
            }
            Self::Aws(http, retry) => {
                let wait = retry.now(AdaptiveRetry::reserve);
                if Instant::now() + wait >= deadline {
                    time::sleep_until(deadline.into()).await;
                    tally.held_back();
                    return Attempt::GivenUp;
                }
                time::sleep(wait).await;
                let answer = send(http, deadline, tally).await;
                let attempt = judge(&answer);
                retry.now(|retry, now| retry.answered(attempt != Attempt::Served, now));
                attempt
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
