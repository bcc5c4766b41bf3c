//! Users of a shop. Each sends requests at random moments, does not wait for earlier answers, and does not retry.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use poolgate::demo::{Random, routes};
use poolgate_native::{Answer, Asked, Client, HttpClient, NoAnswer, Request, Settings, Ticket};
use tokio::{task::JoinSet, time};

use super::{Common, address};
use crate::{
    ledger::{Tag, Told},
    tally::{Class, Ending},
};

const OBEYING: u8 = 40;
const OBEYING_PER_SECOND: f64 = 1.0;
const PLAIN: u8 = 8;
const PLAIN_PER_SECOND: f64 = 2.0;

/// Deadline of a wish, from the moment it came.
const PATIENCE: Duration = Duration::from_secs(2);
/// A request in the client's own queue is given up this long before the deadline: later it would hardly be answered in time.
const LATEST_START: Duration = Duration::from_millis(300);
/// The most open wishes of one user.
const MOST_OPEN: usize = 32;

pub(super) fn description() -> String {
    format!("{OBEYING} obeying ({OBEYING_PER_SECOND}/s each), {PLAIN} plain ({PLAIN_PER_SECOND}/s each)")
}

/// Starts all users.
pub(super) fn spawn(clients: &mut JoinSet<()>, common: &Arc<Common>, random: &mut Random) {
    for index in 0..OBEYING {
        let http = HttpClient::from_address(Some(address(1, index)), common.target);
        let client = Client::new(http, Settings::default(), random.next_u64());
        let listening = client.clone();
        clients.spawn(async move { listening.run().await });
        let way = Way::Obeying(client);
        clients.spawn(live(Arc::clone(common), way, OBEYING_PER_SECOND, Random::new(random.next_u64())));
    }
    for index in 0..PLAIN {
        let way = Way::Plain(HttpClient::from_address(Some(address(2, index)), common.target));
        clients.spawn(live(Arc::clone(common), way, PLAIN_PER_SECOND, Random::new(random.next_u64())));
    }
}

/// How a user's requests get to the program.
#[derive(Clone)]
enum Way {
    Obeying(Client),
    Plain(HttpClient),
}

enum Wish {
    Look(String),
    Order(Tag),
}

/// Has wishes at the moments of a Poisson process, for ever.
async fn live(common: Arc<Common>, way: Way, per_second: f64, mut random: Random) {
    let mut open = FuturesUnordered::<Pin<Box<dyn Future<Output = ()> + Send>>>::new();
    let mut wanted = Instant::now();
    loop {
        wanted += Duration::from_secs_f64(random.exponential(per_second));
        let mut due = std::pin::pin!(time::sleep_until(wanted.into()));
        loop {
            tokio::select! {
                () = &mut due => break,
                Some(()) = open.next(), if !open.is_empty() => {}
            }
        }
        if open.len() >= MOST_OPEN {
            common.tally.count(way.class(), wanted, Ending::Late);
            continue;
        }
        let wish = Wish::new(&common, &mut random);
        open.push(Box::pin(pursue(Arc::clone(&common), way.clone(), wish, wanted)));
    }
}

async fn pursue(common: Arc<Common>, way: Way, wish: Wish, wanted: Instant) {
    let deadline = wanted + PATIENCE;
    let answer = match &way {
        Way::Plain(http) => Some(wish.send(http, deadline).await),
        Way::Obeying(client) => match ticket(client, deadline).await {
            Some(ticket) => Some(wish.send_with(client, ticket, deadline).await),
            None => None,
        },
    };
    if let Wish::Order(tag) = wish {
        common.ledger.tell(tag, answer.as_ref().map_or(Told::Refused, Told::by));
    }
    let ending = answer.map_or(Ending::HeldBack, |answer| Ending::of(&answer, wanted));
    common.tally.count(way.class(), wanted, ending);
}

/// The throttle's permission, if it comes in time.
async fn ticket(client: &Client, deadline: Instant) -> Option<Ticket> {
    let queue_timeout = deadline.saturating_duration_since(Instant::now()).saturating_sub(LATEST_START);
    match client.ask(Request { queue_timeout: Some(queue_timeout), ..Request::default() }) {
        Asked::Start(ticket) => Some(ticket),
        Asked::Queued(waiting) => waiting.await.ok(),
        Asked::Rejected(_) => None,
    }
}

impl Way {
    fn class(&self) -> Class {
        match self {
            Self::Obeying(_) => Class::Obeying,
            Self::Plain(_) => Class::Plain,
        }
    }
}

impl Wish {
    /// The mix of wishes in a shop.
    fn new(common: &Common, random: &mut Random) -> Self {
        let shop = routes::SHOP_PREFIX;
        match random.below(100) {
            0..15 => Self::Order(common.ledger.make()),
            15..30 => Self::Look(format!("{}?hold_ms=40", routes::LAB_HOLD)),
            30..45 => Self::Look(format!("{shop}/products?search={}", random.choose(&["oak", "lamp", "mug", "kite"]))),
            45..46 => Self::Look(format!("{shop}/reports/sales")),
            _ => Self::Look(format!("{shop}/products/{}", 1 + random.below(2_000))),
        }
    }

    async fn send(&self, http: &HttpClient, deadline: Instant) -> Result<Answer, NoAnswer> {
        match self {
            Self::Look(path) => http.get(path, deadline).await,
            Self::Order(tag) => http.post_json(&orders(), tag.document(), deadline).await,
        }
    }

    async fn send_with(&self, client: &Client, ticket: Ticket, deadline: Instant) -> Result<Answer, NoAnswer> {
        match self {
            Self::Look(path) => client.get(ticket, path, deadline).await,
            Self::Order(tag) => client.post_json(ticket, &orders(), tag.document(), deadline).await,
        }
    }
}

fn orders() -> String {
    format!("{}/orders", routes::SHOP_PREFIX)
}
