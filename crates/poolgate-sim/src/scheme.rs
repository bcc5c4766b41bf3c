//! A scheme of overload control: what the server admits, what it tells the clients, and how they react.
//!
//! The simulator knows nothing about schemes; it moves requests and messages between these three parts.

use std::{rc::Rc, time::Duration};

/// What a publisher tells its own limiter at each tick; the default changes nothing.
pub use poolgate_control::gate::GateOrders as Orders;
use poolgate_control::{
    Sample,
    cluster::{Replica, Totals},
};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

use crate::{random::Random, scenario::Scenario};

/// Makes the parts of a scheme for a run.
pub trait Scheme {
    /// Its name on the command line and in tables.
    fn name(&self) -> &'static str;
    /// A description in a few words.
    fn about(&self) -> &'static str;
    /// The part that admits requests.
    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter>;
    /// The part that tells clients; a new one after each restart of the server.
    fn publisher(&self, scenario: &Scenario, epoch: u64) -> Box<dyn Publisher>;
    /// The same for one of several servers that share a database. `seed` is any number of its own.
    fn member(&self, scenario: &Scenario, epoch: u64, _seed: u64) -> Box<dyn Publisher> {
        self.publisher(scenario, epoch)
    }
    /// The part that runs in a browser.
    fn client(&self, scenario: &Scenario, seed: u64) -> Box<dyn Client>;
    /// How clients hear of a config: by push or by polling.
    fn transport(&self) -> Transport {
        Transport::Push
    }
}

/// How a client hears of a new config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport {
    /// It is pushed, comes with every answer, and is asked for where there is no stream.
    Push,
    /// Clients poll at a fixed interval, all at the same moments or each at its own.
    Poll {
        /// Seconds between two polls.
        seconds: f64,
        /// All clients poll at the same moments.
        together: bool,
    },
}

/// A request at the server's door.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its number.
    pub request: u32,
    /// The client that sent it.
    pub client: u32,
    /// The published rate limit, if any, against which clients that ignore it are checked.
    pub fair_rate: Option<f64>,
}

/// The server's decision on an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It goes to the database.
    Start,
    /// It waits.
    Wait,
    /// It is rejected.
    Reject,
    /// It is rejected because its client is over its quota.
    OverQuota,
}

/// The server's side of admission.
pub trait Limiter {
    /// A request arrives.
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission;
    /// A request of this client (`None`: of any) has left the database after `held`, answered or not. Returns the request
    /// that starts in its place.
    fn release(&mut self, client: Option<u32>, held: Duration, answered: bool, now: Duration) -> Option<u32>;
    /// A request that has waited too long; to be called until it returns `None`.
    fn shed(&mut self, now: Duration) -> Option<u32>;
    /// When to call [`shed`](Self::shed) at the latest.
    fn next_expiry(&self) -> Option<Duration>;
    /// How many requests run and wait.
    fn occupancy(&self, now: Duration) -> Occupancy;
    /// What the publisher orders.
    fn obey(&mut self, _order: &Orders) {}

    /// Admits one more waiting request, if the order has made room.
    fn grant(&mut self, _now: Duration) -> Option<u32> {
        None
    }
}

/// A reading of a limiter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occupancy {
    /// The most requests that may be in the database.
    pub permits: u32,
    /// Requests that are in the database.
    pub in_flight: u32,
    /// Requests that wait.
    pub queued: u32,
    /// How long the first of those has waited.
    pub oldest_wait: Duration,
}

/// A message from the server to a client.
#[derive(Clone, Debug)]
pub enum Message {
    /// Poolgate's config.
    Config(Rc<ThrottlingConfig>),
    /// This version is current.
    Heartbeat(ConfigVersion),
    /// The server does not answer.
    NoContact,
    /// Breakwater: the most requests that this client may have in flight.
    Credits(u32),
    /// Doorman: the rate at which this client may send until the lease ends.
    Lease {
        /// Requests per second.
        rate: f64,
        /// Length of the lease.
        lasts: Duration,
    },
}

/// The server's side of telling clients.
pub trait Publisher {
    /// Ten times a second: what to tell each client, from what happened since the previous tick and what the limiter holds
    /// now.
    fn tick(&mut self, sample: &Sample, occupancy: &Occupancy, now: Duration, tell: &mut Tell) -> Orders;
    /// The same on one of several servers that share a database.
    fn tick_among(&mut self, sample: &Sample, occupancy: &Occupancy, among: Among<'_>, tell: &mut Tell) -> Orders {
        self.tick(sample, occupancy, among.now, tell)
    }
    /// What is in force, for answers and polls.
    fn current(&mut self, client: u32) -> Option<Message>;
    /// Whether it has heard enough of the other servers to take requests.
    fn is_ready(&self) -> bool {
        true
    }
    /// A request of this client has arrived; `demand` counts it and the client's waiting requests.
    fn arrived(&mut self, _client: u32, _demand: f64, _now: Duration) {}
    /// The server answers. Returns the message that the answer carries; others go into `tell`.
    fn answering(&mut self, _reply: &Reply, _now: Duration, _tell: &mut Tell) -> Option<Message> {
        None
    }
    /// A client is about to poll and says what it needs.
    fn asked(&mut self, _client: u32, _needs: Needs, _now: Duration) {}
    /// The fair rate in force.
    fn fair_rate(&self) -> Option<f64> {
        None
    }
    /// The level in force.
    fn level(&self) -> Level {
        Level::Normal
    }
}

/// A server's part in its cluster, at a tick.
#[derive(Debug)]
pub struct Among<'a> {
    /// What it knows of the others.
    pub replica: &'a mut Replica,
    /// What it has counted since its start.
    pub totals: Totals,
    /// The time on its own clock, as the replica knows it.
    pub now: Duration,
}

/// An answer that leaves the server.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The client that gets it.
    pub client: u32,
    /// How its request ended.
    pub outcome: Outcome,
    /// A reading of the limiter at this moment.
    pub occupancy: Occupancy,
}

/// What a client says about itself when it polls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Requests per second that it may send.
    pub has: f64,
    /// Requests per second that it wants to send.
    pub wants: f64,
}

/// The messages that a publisher sends.
#[derive(Debug, Default)]
pub struct Tell {
    /// To everyone, the same.
    pub all: Vec<Message>,
    /// To one client.
    pub one: Vec<(u32, Message)>,
}

/// A client's decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Start,
    /// It waits in the browser.
    Wait,
    /// It fails without being sent.
    Refuse,
}

/// How a sent request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Served,
    /// It was rejected.
    Rejected {
        /// The server's `Retry-After`.
        retry_after: Duration,
    },
    /// There was no answer.
    NoContact,
}

/// The browser's side.
pub trait Client {
    /// The app wants to send a request.
    fn submit(&mut self, request: u32, now: Duration) -> Verdict;
    /// The app gives up one that waits.
    fn abort(&mut self, request: u32, now: Duration);
    /// A sent request has ended.
    fn complete(&mut self, request: u32, outcome: Outcome, now: Duration);
    /// A message has arrived.
    fn hear(&mut self, message: &Message, now: Duration);
    /// The decision on a waiting request; to be called until it returns `None`.
    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)>;
    /// When to call [`poll`](Self::poll) if nothing happens before.
    fn next_wakeup(&self) -> Option<Duration>;
    /// The config that it obeys, if it obeys any.
    fn obeys(&self, _now: Duration) -> Option<ConfigVersion> {
        None
    }
    /// Number of waiting requests, for schemes that report their demand.
    fn waiting(&self) -> usize;
    /// What the client needs, for schemes of leases.
    fn needs(&mut self, _now: Duration) -> Needs {
        Needs::default()
    }
    /// The page is reloaded: waiting requests are gone, what the browser stores stays.
    fn reload(&mut self, random: &mut Random, now: Duration);
}
