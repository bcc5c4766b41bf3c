//! A scenario: a small file that describes demand, database, network and faults of a run.

mod cluster;
mod fault;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub use self::{
    cluster::Cluster,
    fault::{Fault, FaultKind},
};

/// A scenario, read from TOML. Everything but `title` and `load` has a default: 1,000 clients, a database of 20
/// connections and 50 ms, users who wait 2 seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a few words.
    pub title: String,
    /// Length of the run.
    #[serde(default = "default_seconds")]
    pub seconds: u32,
    /// Seconds at the start that are not measured.
    #[serde(default = "default_warm_up")]
    pub warm_up_seconds: u32,
    /// Browsers, 1 to 1,000,000.
    #[serde(default = "default_clients")]
    pub clients: u32,
    /// Demand over time, as a multiple of the database's capacity. At least one step, the first at second 0.
    pub load: Vec<Step>,
    /// The database.
    #[serde(default)]
    pub database: Database,
    /// The users.
    #[serde(default)]
    pub users: Users,
    /// The network between browsers and server.
    #[serde(default)]
    pub network: Network,
    /// The server's own costs.
    #[serde(default)]
    pub server: Server,
    /// Several servers in place of one. Default: one.
    pub cluster: Option<Cluster>,
    /// What breaks.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// The load from one moment to the next step's.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Begins at this second.
    pub at: f64,
    /// Multiple of capacity.
    pub times: f64,
    /// Rises or falls to this multiple until the next step, or the end.
    pub to: Option<f64>,
}

/// The database and the pool in front of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// The most requests that it works on at a time. In a cluster, the most for each server.
    pub connections: u32,
    /// Mean time that a request takes, in milliseconds.
    pub mean_ms: f64,
    /// How the times vary.
    pub distribution: Distribution,
    /// Above this concurrency the database slows down: contention. By default it never does.
    pub knee: Option<u32>,
    /// Time that a connection takes to open, in milliseconds. Default 0: all are open from the start.
    pub connect_ms: f64,
    /// The most connections that the database server gives to this pool. Default: as many as the pool may open.
    pub room: Option<u32>,
    /// Whether connections are opened before the server takes requests, and ahead of demand from then on. Default: no,
    /// the pool starts empty and opens connections for waiting requests.
    pub warm: bool,
}

/// How service times vary around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All the same.
    Fixed,
    /// Exponential: the standard deviation is the mean.
    #[default]
    Exponential,
    /// Nine of ten take half the mean, one takes 5.5 times the mean.
    Bimodal,
}

/// Users. They are an open loop: their wishes do not wait for earlier answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// How long a user waits for an answer, in milliseconds from the wish.
    pub deadline_ms: u64,
    /// How long the app lets a request wait in the browser, in milliseconds. Default: 85 % of `deadline_ms`; one that waits
    /// longer would be answered too late.
    pub queue_timeout_ms: Option<u64>,
    /// How often the app retries after a failure, with jittered pauses that grow from 0.2 s on.
    pub retries: u32,
    /// Share of the clients that want `heavy_factor` times as much as the others.
    pub heavy_share: f64,
    /// How many times as much as the others they want.
    pub heavy_factor: f64,
    /// Mean time that browsers have been open when the run begins, in seconds.
    pub age_seconds: f64,
    /// Mean length of a visit in seconds; then a new browser takes over. Default: visits last for the whole run.
    pub session_seconds: Option<f64>,
    /// Users reload the page when a request fails, at most once in this many seconds. Default: they do not.
    pub reload_seconds: Option<f64>,
    /// Share of the clients that obey nothing.
    pub rogue_share: f64,
    /// Share of the tabs that are hidden: browsers wake them at whole seconds only.
    pub hidden_share: f64,
    /// Share of the clients that know only the six fields of the first contract.
    pub six_fields_share: f64,
}

/// The network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Mean travel time of a message from browser to server or back, in milliseconds; each takes half to one and a half
    /// times that.
    pub one_way_ms: f64,
    /// The same for a pushed config.
    pub push_ms: f64,
}

/// The cost of the server's own work, on the processor that it shares with the database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Processor time per request that arrives, rejected ones included, in microseconds.
    pub request_us: f64,
    /// The most requests that wait in the gate. Default: four times the connections, as by the server's settings.
    pub max_queue: Option<u32>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// A message that names the key and the mistake.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text).context("not a scenario")?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Requests per second that the database serves at best, without the server's own costs.
    pub fn capacity(&self) -> f64 {
        let connections = self.database.knee.map_or(self.connections(), |knee| knee.min(self.connections()));
        f64::from(connections) * 1000.0 / self.database.mean_ms
    }

    /// The most requests that the database works on at a time, with as many servers as at the start.
    pub fn connections(&self) -> u32 {
        let each = self.database.connections;
        self.cluster.map_or(each, |cluster| cluster.shared_by(cluster.replicas).min(cluster.replicas * each))
    }

    /// Demand at a moment, as a multiple of capacity.
    pub fn load_at(&self, seconds: f64) -> f64 {
        let Some(current) = self.load.iter().rposition(|step| step.at <= seconds) else { return 0.0 };
        let step = self.load[current];
        let Some(to) = step.to else { return step.times };
        let end = self.load.get(current + 1).map_or(f64::from(self.seconds), |next| next.at);
        let passed = ((seconds - step.at) / (end - step.at).max(f64::EPSILON)).min(1.0);
        step.times + (to - step.times) * passed
    }

    /// How long the app lets a request wait in the browser.
    pub fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.users.queue_timeout_ms.unwrap_or(self.users.deadline_ms * 85 / 100))
    }

    /// The highest load of the run.
    pub fn peak_load(&self) -> f64 {
        self.load.iter().flat_map(|step| [Some(step.times), step.to]).flatten().fold(0.0, f64::max)
    }

    /// Length of the run.
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// Checks every range. [`parse`](Self::parse) has done so.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range, and the range.
    pub fn check(&self) -> Result<()> {
        let Self { database, users, network, server, .. } = self;
        ensure!((1..=1_000_000).contains(&self.clients), "`clients` must be from 1 to 1,000,000");
        ensure!((1..=36_000).contains(&self.seconds), "`seconds` must be from 1 to 36,000");
        ensure!(self.warm_up_seconds < self.seconds, "`warm_up_seconds` must be less than `seconds`");
        ensure!(self.load.first().is_some_and(|step| step.at == 0.0), "`load` must begin at second 0");
        ensure!(self.load.is_sorted_by(|a, b| a.at < b.at), "`load` must be in the order of time");
        let loads = self.load.iter().flat_map(|step| [step.times, step.to.unwrap_or_default()]);
        ensure!(loads.into_iter().all(|times| (0.0..=1000.0).contains(&times)), "a load must be from 0 to 1,000");
        ensure!((1..=10_000).contains(&database.connections), "`database.connections` must be from 1 to 10,000");
        ensure!((0.01..=60_000.0).contains(&database.mean_ms), "`database.mean_ms` must be from 0.01 to 60,000");
        ensure!((0.0..=60_000.0).contains(&database.connect_ms), "`database.connect_ms` must be from 0 to 60,000");
        ensure!((1..=600_000).contains(&users.deadline_ms), "`users.deadline_ms` must be from 1 to 600,000");
        ensure!(users.retries <= 10, "`users.retries` must be at most 10");
        for (name, share) in [
            ("heavy_share", users.heavy_share),
            ("rogue_share", users.rogue_share),
            ("hidden_share", users.hidden_share),
            ("six_fields_share", users.six_fields_share),
        ] {
            ensure!((0.0..=1.0).contains(&share), "`users.{name}` must be from 0 to 1");
        }
        ensure!((0.0..=1000.0).contains(&users.heavy_factor), "`users.heavy_factor` must be from 0 to 1,000");
        ensure!((0.0..=1e6).contains(&users.age_seconds), "`users.age_seconds` must be from 0 to 1,000,000");
        ensure!(users.session_seconds.is_none_or(|mean| mean >= 0.1), "`users.session_seconds` must be at least 0.1");
        ensure!(users.reload_seconds.is_none_or(|least| least >= 0.1), "`users.reload_seconds` must be at least 0.1");
        let delays = [("one_way_ms", network.one_way_ms), ("push_ms", network.push_ms)];
        for (name, delay) in delays {
            ensure!((0.0..=60_000.0).contains(&delay), "`network.{name}` must be from 0 to 60,000");
        }
        ensure!((0.0..=1e6).contains(&server.request_us), "`server.request_us` must be from 0 to 1,000,000");
        if let Some(cluster) = &self.cluster {
            cluster.check()?;
        }
        self.faults.iter().try_for_each(|fault| fault.check(self.cluster.as_ref()))
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            connections: 20,
            mean_ms: 50.0,
            distribution: Distribution::default(),
            knee: None,
            connect_ms: 0.0,
            room: None,
            warm: false,
        }
    }
}

impl Default for Users {
    fn default() -> Self {
        Self {
            deadline_ms: 2000,
            queue_timeout_ms: None,
            retries: 2,
            heavy_share: 0.0,
            heavy_factor: 5.0,
            age_seconds: 600.0,
            session_seconds: None,
            reload_seconds: None,
            rogue_share: 0.0,
            hidden_share: 0.0,
            six_fields_share: 0.0,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self { one_way_ms: 25.0, push_ms: 50.0 }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { request_us: 75.0, max_queue: None }
    }
}

const fn default_seconds() -> u32 {
    60
}

const fn default_warm_up() -> u32 {
    15
}

const fn default_clients() -> u32 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_step_and_ramp() {
        let text = "title = 'x'\nseconds = 40\nload = [{ at = 0, times = 1 }, { at = 10, times = 2, to = 4 }, { at = 30, times = 0.5 }]";
        let scenario = Scenario::parse(text).expect("valid");
        assert_eq!(scenario.load_at(5.0), 1.0);
        assert_eq!(scenario.load_at(20.0), 3.0);
        assert_eq!(scenario.load_at(35.0), 0.5);
        assert_eq!(scenario.peak_load(), 4.0);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("title = 'x'\nload = []", "begin at second 0"),
            ("title = 'x'\nload = [{ at = 0, times = 1 }]\nclients = 0", "clients"),
            ("title = 'x'\nload = [{ at = 0, times = 1 }]\ncolour = 1", "colour"),
            ("title = 'x'\nload = [{ at = 0, times = 1 }]\n[users]\nrogue_share = 2", "rogue_share"),
            ("title = 'x'\nload = [{ at = 0, times = 1 }]\n[cluster]\nreplicas = 9", "replicas"),
            (
                "title = 'x'\nload = [{ at = 0, times = 1 }]\nfaults = [{ at = 1, seconds = 1, kind = 'kill' }]",
                "needs `[cluster]`",
            ),
        ] {
            let error = format!("{:#}", Scenario::parse(text).expect_err(text));
            assert!(error.contains(expected), "{error}");
        }
    }
}
