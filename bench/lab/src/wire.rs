//! What the processes of one run tell each other, as JSON.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;
use poolgate_types::Level;
use serde::{Deserialize, Serialize};

/// The route that holds a connection.
pub(crate) const WORK: &str = "/work";
/// The route that answers with [`ServerFigures`]; nothing limits it.
pub(crate) const FIGURES: &str = "/figures";
/// Connections to the database.
pub(crate) const CONNECTIONS: u32 = 20;
/// The first line on the server's standard output says where it listens, after this.
pub(crate) const LISTENING: &str = "lab server on ";

/// What stands in front of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Limiter {
    /// Nothing: all wait for the pool.
    None,
    /// HAProxy in front of the server: `maxconn` 20, `timeout queue` 0.5 s.
    Haproxy,
    /// 20 permits, first come, first served, 0.5 s.
    FifoGate,
    /// Poolgate's gate alone: clients are told nothing.
    PoolgateGate,
    /// The original system: a first-come gate of 0.5 s, and four fixed rows of limits chosen by the pool's usage.
    PoolgateFixed,
    /// Poolgate, as it comes.
    Poolgate,
    /// tower's `LoadShed` around its `ConcurrencyLimit` of 20.
    TowerLoadShed,
    /// tower-resilience-adaptive, AIMD with the crate's defaults.
    TowerResilience,
    /// The same with at most 20 in flight, a latency threshold that fits, and `LoadShed` around it.
    TowerResilienceTuned,
    /// congestion-limiter, windowed gradient with the crate's defaults, as its documentation shows.
    Congestion,
    /// The same with at most 20 in flight, and up to 100 ms of waiting.
    CongestionTuned,
    /// little-loadshedder with the values of its example.
    LittleLoadshedder,
    /// The same with a target latency that fits, and ten times as quick.
    LittleLoadshedderTuned,
}

/// How users send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// At once, and ignores the answers.
    Plain,
    /// Through `poolgate-throttle`, with an event stream for each user.
    Poolgate,
    /// Through the client-side throttle of Google's SRE book, K = 2.
    Sre,
    /// Through the adaptive retry mode of the AWS SDKs.
    Aws,
}

/// What the users are to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadPlan {
    pub(crate) target: SocketAddr,
    /// What the users ask for.
    pub(crate) path: String,
    pub(crate) seed: u64,
    pub(crate) users: u32,
    pub(crate) kind: Kind,
    pub(crate) habits: Habits,
    /// Users who want five times as much as the others, 0 to 1.
    pub(crate) heavy_share: f64,
    /// The share of users of every kind who send at once, 0 to 1.
    pub(crate) rogue_share: f64,
    pub(crate) demand: Demand,
    /// Seconds since the start of the load in which users are counted, `from..to`.
    pub(crate) window: (u32, u32),
}

/// How users go about what they want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Habits {
    /// Attempts after a request's first.
    pub(crate) retries: u32,
    /// What a user wants takes this many requests, one after the other.
    pub(crate) requests: u32,
    /// When a user loses interest, from the moment it wanted something.
    pub(crate) patience: Duration,
}

impl Habits {
    /// One request, sent once, for which a user waits 2 s.
    pub(crate) const ONE_REQUEST: Self = Self { retries: 0, requests: 1, patience: Duration::from_secs(2) };
}

/// How much the users want.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Demand {
    /// Each sends its next request when the last one was answered, for this many seconds.
    Closed { seconds: u32 },
    /// Poisson processes: what all users together want takes `rate` times the step's multiple requests a second.
    Open { rate: f64, steps: Vec<Step> },
}

/// Seconds, and the multiple of the rate at which they are spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) seconds: u32,
    pub(crate) multiple: f64,
}

impl Demand {
    /// How long it lasts, in seconds.
    pub(crate) fn seconds(&self) -> u32 {
        match self {
            Self::Closed { seconds } => *seconds,
            Self::Open { steps, .. } => steps.iter().map(|step| step.seconds).sum(),
        }
    }
}

/// What the users met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadFigures {
    /// When the load began.
    pub(crate) started: Moment,
    pub(crate) seconds: Vec<LoadSecond>,
    pub(crate) users: Vec<UserFigures>,
    /// Of what was served in the window, from the moment the user wanted it.
    pub(crate) latency_ms: Quantiles,
    /// Wanted in the window, and early enough for its deadline to fall into it.
    pub(crate) wanted_in_time: u64,
    /// Served of those.
    pub(crate) served_in_time: u64,
    /// Processor time that the load generator used in the window.
    pub(crate) cpu_seconds: f64,
    /// How long it was ready to run in the window while its processor did something else.
    pub(crate) cpu_wait_seconds: f64,
}

impl LoadFigures {
    /// The sum of a count over these seconds of the load, `from..to`.
    pub(crate) fn sum(&self, (from, to): (u32, u32), count: impl Fn(&LoadSecond) -> u32) -> u32 {
        self.seconds.iter().take(to as usize).skip(from as usize).map(count).sum()
    }
}

/// What happened in one second of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadSecond {
    /// Wishes, retries not counted.
    pub(crate) wanted: u32,
    /// Requests sent, retries included.
    pub(crate) sent: u32,
    /// Wishes fulfilled before their deadline.
    pub(crate) served: u32,
    /// Wishes given up.
    pub(crate) failed: u32,
    /// Attempts that the user's own throttle did not let out.
    pub(crate) held_back: u32,
    /// Attempts answered 503 or 429.
    pub(crate) rejected: u32,
    /// Attempts answered 429.
    pub(crate) over_quota: u32,
    /// Attempts answered with another 5xx.
    pub(crate) errors: u32,
    /// Attempts without an answer in time.
    pub(crate) unanswered: u32,
}

/// What one user met in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserFigures {
    pub(crate) rogue: bool,
    pub(crate) heavy: bool,
    pub(crate) wanted: u32,
    pub(crate) served: u32,
    /// Wishes given up.
    pub(crate) failed: u32,
}

/// What browsers are to do: each tab wants `rate` things a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TabsPlan {
    pub(crate) url: String,
    pub(crate) tabs: u32,
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    /// Seconds since the start in which things are counted, `from..to`.
    pub(crate) window: (f64, f64),
}

/// What one tab met in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TabFigures {
    pub(crate) wanted: u32,
    pub(crate) served: u32,
    /// Of what was served, from the moment it was wanted.
    pub(crate) latencies_ms: Vec<f64>,
}

/// What the server saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerFigures {
    /// When it began to count.
    pub(crate) started: Moment,
    /// What arrived and ended in each step of [`SLOT_MS`].
    pub(crate) slots: Vec<ServerSlot>,
    /// Each time a connection was in hand: milliseconds since the start, and the wait since the arrival in
    /// microseconds.
    pub(crate) acquires: Vec<(u32, u32)>,
    pub(crate) readings: Vec<Reading>,
}

/// Length of a [`ServerSlot`], in milliseconds.
pub(crate) const SLOT_MS: u32 = 100;

/// Requests for [`WORK`] in one slot, each in the slot of its arrival or of its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerSlot {
    pub(crate) arrived: u32,
    pub(crate) served: u32,
    /// Answered 503 or 429.
    pub(crate) rejected: u32,
    /// Answered otherwise.
    pub(crate) failed: u32,
    /// Given up by the client before there was an answer.
    pub(crate) abandoned: u32,
}

/// One look at the server's state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Milliseconds since the start.
    pub(crate) at_ms: u32,
    /// Processor time of the server process since it was started.
    pub(crate) cpu_seconds: f64,
    pub(crate) level: Level,
    /// Clients that the server counts as live.
    pub(crate) clients: u32,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Milliseconds since 1970: processes of one machine share this clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// This moment on the clock of something that began at `start`, in milliseconds.
    pub(crate) fn since(self, start: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(start.0)).unwrap_or(u32::MAX)
    }
}
