//! What is measured, second by second.

use std::time::Duration;

use poolgate_types::Level;

/// The counts of a run.
#[derive(Clone, Debug)]
pub struct Meter {
    /// One row for each second of the run.
    pub seconds: Vec<Second>,
    /// Requests that each client wished for, after the warm-up.
    pub wished: Vec<u32>,
    /// Those of them that were answered in time.
    pub served: Vec<u32>,
    /// Waits at the gate of the requests that were let in after the warm-up, in seconds.
    pub waits: Vec<f32>,
    /// Times from wish to answer of the requests answered in time after the warm-up, in seconds.
    pub latencies: Vec<f32>,
    /// What the servers of a cluster have done; all zero for a single server.
    pub cluster: ClusterCounts,
    warm_up: Duration,
    level: Level,
}

/// What the servers of a cluster have done in the whole run.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterCounts {
    /// Exchanges with the store.
    pub exchanges: u64,
    /// Messages to and from the store and for the list of connections, lost ones included.
    pub messages: u64,
    /// Seconds that servers were up, added up.
    pub replica_seconds: f64,
    /// The most connections that the database had at a time.
    pub most_connections: u32,
}

/// What happened in a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Requests that users wished for.
    pub wished: u32,
    /// Requests answered within the user's deadline.
    pub served: u32,
    /// Requests answered too late.
    pub late: u32,
    /// Requests that arrived at the server.
    pub arrived: u32,
    /// Those of them that were turned away.
    pub rejected: u32,
    /// Those of them that were turned away because their client had sent too much.
    pub over_quota: u32,
    /// Requests that failed in the browser without being sent.
    pub refused: u32,
    /// Configs published.
    pub published: u32,
    /// Sum over its ticks of the share of the connections that were idle.
    pub idle: f32,
    /// Changes of the level.
    pub level_changes: u32,
    /// Fair rate at the end of the second.
    pub fair_rate: Option<f64>,
    /// Ticks at which a limit was in force.
    pub limited_ticks: u32,
    /// Ticks at which the gate had fewer permits than the pool has connections.
    pub narrowed_ticks: u32,
    /// Clients that obeyed an older config of a cluster than before.
    pub older_configs: u32,
    /// Connections that the pools of the running servers may have, without spare ones, at the end of the second.
    pub shared: u32,
}

impl Meter {
    pub(crate) fn new(seconds: u32, clients: u32, warm_up: Duration) -> Self {
        Self {
            // What is in flight at the end is answered in the seconds after it.
            seconds: vec![Second::default(); seconds as usize + 1],
            wished: vec![0; clients as usize],
            served: vec![0; clients as usize],
            waits: Vec::new(),
            latencies: Vec::new(),
            cluster: ClusterCounts::default(),
            warm_up,
            level: Level::Normal,
        }
    }

    pub(crate) fn second(&mut self, now: Duration) -> &mut Second {
        let last = self.seconds.len() - 1;
        &mut self.seconds[(now.as_secs() as usize).min(last)]
    }

    pub(crate) fn wish(&mut self, client: u32, now: Duration) {
        self.second(now).wished += 1;
        if now >= self.warm_up {
            self.wished[client as usize] += 1;
        }
    }

    pub(crate) fn admit(&mut self, wait: Duration, now: Duration) {
        if now >= self.warm_up {
            self.waits.push(wait.as_secs_f32());
        }
    }

    pub(crate) fn answer(&mut self, client: u32, wished_at: Duration, deadline: Duration, now: Duration) {
        if now > deadline {
            self.second(now).late += 1;
            return;
        }
        self.second(now).served += 1;
        if wished_at >= self.warm_up {
            self.served[client as usize] += 1;
            self.latencies.push((now - wished_at).as_secs_f32());
        }
    }

    pub(crate) fn tick(&mut self, level: Level, fair_rate: Option<f64>, now: Duration) {
        let changed = level != self.level;
        self.level = level;
        let second = self.second(now);
        second.level_changes += u32::from(changed);
        second.fair_rate = fair_rate;
        second.limited_ticks += u32::from(fair_rate.is_some());
    }
}
