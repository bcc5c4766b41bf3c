//! How a user's requests get to the server: at once, or when a throttle in the client lets them.

use std::time::{Duration, Instant};

use http::StatusCode;
use poolgate::demo::Random;
use poolgate_bench_rivals::{aws::AdaptiveRetry, sre::ClientThrottle};
use poolgate_native::{Answer, Asked, Client, HttpClient, NoAnswer, Request, Settings};
use tokio::time;

use super::{law::Law, tally::Tally};
use crate::wire::Kind;

/// A request in the client's own queue is rejected this long before its deadline: sent later it would hardly be answered
/// in time.
const LATEST_START: Duration = Duration::from_millis(300);

/// One user's way to the server.
#[derive(Debug)]
pub(super) struct Caller {
    way: Way,
    path: String,
}

#[derive(Debug)]
enum Way {
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
    pub(super) fn new(kind: Kind, http: HttpClient, path: &str, appears_after: Duration, random: &mut Random) -> Self {
        let way = match kind {
            Kind::Plain => Way::Plain(http),
            Kind::Sre => Way::Sre(http, Law::default()),
            Kind::Aws => Way::Aws(http, Law::default()),
            Kind::Poolgate => {
                let client = Client::new(http, Settings::default(), random.next_u64());
                let running = client.clone();
                tokio::spawn(async move {
                    time::sleep(appears_after).await;
                    running.run().await;
                });
                Way::Poolgate(client)
            }
        };
        Self { way, path: path.to_owned() }
    }

    /// Sends one request, at any moment before the deadline or never.
    pub(super) async fn attempt(&self, deadline: Instant, tally: &Tally, random: &mut Random) -> Attempt {
        let path = self.path.as_str();
        match &self.way {
            Way::Plain(http) => send(http, path, deadline, tally).await,
            Way::Poolgate(client) => attempt_with_poolgate(client, path, deadline, tally).await,
            Way::Sre(http, throttle) => {
                let chance = random.unit();
                if !throttle.now(|throttle, now| throttle.lets_out(now, chance)) {
                    tally.held_back();
                    return Attempt::Failed;
                }
                let attempt = send(http, path, deadline, tally).await;
                if attempt == Attempt::Served {
                    throttle.now(ClientThrottle::accept);
                }
                attempt
            }
            Way::Aws(http, retry) => {
                let wait = retry.now(AdaptiveRetry::reserve);
                if Instant::now() + wait >= deadline {
                    time::sleep_until(deadline.into()).await;
                    tally.held_back();
                    return Attempt::GivenUp;
                }
                time::sleep(wait).await;
                let attempt = send(http, path, deadline, tally).await;
                retry.now(|retry, now| retry.answered(attempt != Attempt::Served, now));
                attempt
            }
        }
    }
}

async fn attempt_with_poolgate(client: &Client, path: &str, deadline: Instant, tally: &Tally) -> Attempt {
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
    judge(&client.get(ticket, path, deadline).await, tally)
}

async fn send(http: &HttpClient, path: &str, deadline: Instant, tally: &Tally) -> Attempt {
    tally.sent();
    judge(&http.get(path, deadline).await, tally)
}

fn judge(answer: &Result<Answer, NoAnswer>, tally: &Tally) -> Attempt {
    let Ok(answer) = answer else {
        tally.unanswered();
        return Attempt::Failed;
    };
    if answer.status.is_success() {
        return Attempt::Served;
    }
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => tally.rejected(),
        StatusCode::TOO_MANY_REQUESTS => tally.over_quota(),
        status if status.is_server_error() => tally.error(),
        _ => {}
    }
    Attempt::Failed
}
