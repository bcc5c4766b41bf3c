//! A scheme of overload control: what the server lets in, what it tells the clients, and what they do about it.
//!
//! The simulator knows nothing of any scheme; it moves requests and messages between these three parts.

use std::{rc::Rc, time::Duration};

use poolgate_control::Sample;
/// What a publisher tells its own limiter at each tick; the default changes nothing.
pub use poolgate_control::gate::GateOrders as Orders;
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

use crate::{random::Random, scenario::Scenario};

/// A scheme, ready to be put together for a run.
pub trait Scheme {
    /// Its name on the command line and in tables.
    fn name(&self) -> &'static str;
    /// What it is, in a few words.
    fn about(&self) -> &'static str;
    /// What lets requests in.
    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter>;
    /// What tells clients; a new one after each restart of the server.
    fn publisher(&self, scenario: &Scenario, epoch: u64) -> Box<dyn Publisher>;
    /// What a browser runs.
    fn client(&self, scenario: &Scenario, seed: u64) -> Box<dyn Client>;
    /// How clients hear: pushed, or asked for every so often.
    fn transport(&self) -> Transport {
        Transport::Push
    }
}

/// How a client hears of a new config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport {
    /// It is pushed, comes with every answer, and is asked for where there is no stream.
    Push,
    /// It is asked for every so many seconds; all at the same moments, or each at its own.
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
    /// Whose it is.
    pub client: u32,
    /// The rate limit that is published, if any, for the check of those who ignore it.
    pub fair_rate: Option<f64>,
}

/// What the server does with an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It goes to the database.
    Start,
    /// It waits.
    Wait,
    /// It is turned away.
    Reject,
    /// It is turned away because its client has sent more than it may.
    OverQuota,
}

/// The server's side of admission.
pub trait Limiter {
    /// Somebody arrives.
    fn arrive(&mut self, arrival: Arrival, now: Duration) -> Admission;
    /// A request of this client (`None`: of anybody) has left the database after `held`, with or without an answer: who
    /// starts in its place.
    fn release(&mut self, client: Option<u32>, held: Duration, answered: bool, now: Duration) -> Option<u32>;
    /// Somebody whose wait is over without having started; to be asked until there is nobody.
    fn shed(&mut self, now: Duration) -> Option<u32>;
    /// When to ask [`shed`](Self::shed) at the latest.
    fn next_expiry(&self) -> Option<Duration>;
    /// What is where.
    fn occupancy(&self, now: Duration) -> Occupancy;
    /// What the publisher orders.
    fn obey(&mut self, _order: &Orders) {}

    /// Lets in one more of those who wait, if the order has made room.
    fn grant(&mut self, _now: Duration) -> Option<u32> {
        None
    }
}

/// A reading of a limiter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occupancy {
    /// Requests that may be in the database.
    pub permits: u32,
    /// Those that are.
    pub in_flight: u32,
    /// Those that wait.
    pub queued: u32,
    /// How long the first of them has waited.
    pub oldest_wait: Duration,
}

/// What a server says to a client.
#[derive(Clone, Debug)]
pub enum Message {
    /// Poolgate's document.
    Config(Rc<ThrottlingConfig>),
    /// This version is current.
    Heartbeat(ConfigVersion),
    /// Nobody answers.
    NoContact,
    /// Breakwater: requests that this client may have on their way.
    Credits(u32),
    /// Doorman: requests a second that this client may send, until the lease ends.
    Lease {
        /// Requests a second.
        rate: f64,
        /// Length of the lease.
        lasts: Duration,
    },
}

/// The server's side of telling.
pub trait Publisher {
    /// Ten times a second: what to tell each client, from what happened since the previous tick and what the limiter holds
    /// now.
    fn tick(&mut self, sample: &Sample, occupancy: &Occupancy, now: Duration, tell: &mut Tell) -> Orders;
    /// What is in force, for answers and polls.
    fn current(&mut self, client: u32) -> Option<Message>;
    /// A request of this client has arrived, and what it says about its queue.
    fn arrived(&mut self, _client: u32, _demand: f64, _now: Duration) {}
    /// The server answers: what the answer carries, and what there is to tell besides.
    fn answering(&mut self, _reply: &Reply, _now: Duration, _tell: &mut Tell) -> Option<Message> {
        None
    }
    /// A client is about to ask what is in force, and says what it needs.
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

/// An answer that leaves the server.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Whose request it is.
    pub client: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The limiter at this moment.
    pub occupancy: Occupancy,
}

/// What a client says of itself when it asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Requests a second that it may send.
    pub has: f64,
    /// Requests a second that it would like to send.
    pub wants: f64,
}

/// Where a publisher puts what it has to say.
#[derive(Debug, Default)]
pub struct Tell {
    /// To everyone, the same.
    pub all: Vec<Message>,
    /// To one client.
    pub one: Vec<(u32, Message)>,
}

/// What a client does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Start,
    /// It waits in the browser.
    Wait,
    /// It fails without being sent.
    Refuse,
}

/// What became of a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Served,
    /// It was turned away.
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
    /// One that was sent has ended.
    fn complete(&mut self, request: u32, outcome: Outcome, now: Duration);
    /// The server says something.
    fn hear(&mut self, message: &Message, now: Duration);
    /// What becomes of one that waits; to be asked until there is nothing.
    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)>;
    /// When to ask [`poll`](Self::poll) though nothing has happened.
    fn next_wakeup(&self) -> Option<Duration>;
    /// Requests that wait, for schemes that report their demand.
    fn waiting(&self) -> usize;
    /// What it says of itself when it asks, for schemes of leases.
    fn needs(&mut self, _now: Duration) -> Needs {
        Needs::default()
    }
    /// The page is loaded anew: nothing waits any more; what the browser keeps is kept.
    fn reload(&mut self, random: &mut Random, now: Duration);
}
