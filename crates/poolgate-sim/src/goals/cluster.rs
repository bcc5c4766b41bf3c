//! The trials of several servers in front of one database.

use super::{Goal, Run, Trial, at_least, at_most, trial, unchanged};
use crate::{peak, run, scenario::Scenario, schemes};

/// Every trial of a cluster, from plain to strange.
pub(super) const TRIALS: &[Trial] = &[
    Trial {
        goals: &[
            at_least("goodput, of peak", 0.985, |run| run.report.goodput),
            at_most("arrivals, difference from one server with as many connections", 0.03, |run| {
                (run.report.arrivals / run.one_server().report.arrivals - 1.0).abs()
            }),
            at_most("rejected, more than by one server, of arrivals", 0.035, |run| {
                run.report.rejected - run.one_server().report.rejected
            }),
            at_least("Jain's index", 0.98, |run| run.report.jain),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        ..trial("four replicas, 3 times the capacity", "replicas", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput while it lasts, of peak", 0.9, |run| run.of_peak(40, 80)),
            at_least("goodput in the worst five seconds of it, of peak", 0.9, |run| {
                (40..=80).map(|second| run.of_peak(second, second + 5)).fold(f64::INFINITY, f64::min)
            }),
            at_least("goodput from five seconds after it on, of peak", 0.9, |run| run.of_peak(85, 100)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        slow: true,
        ..trial("rolling deploy, 4 to 8 to 4 replicas in 40 seconds", "rolling-deploy", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from five seconds after its begin on, of what the shares can do", 0.9, |run| {
                run.of_shares(45, 70)
            }),
            at_least("goodput from five seconds after its end on, of peak", 0.9, |run| run.of_peak(75, 100)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        slow: true,
        ..trial("two of four replicas without the store for 30 seconds", "replica-partition", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from five seconds after its begin on, of what the shares can do", 0.9, |run| {
                run.of_shares(45, 70)
            }),
            at_least("goodput from 15 seconds after its end on, of peak", 0.9, |run| run.of_peak(85, 100)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        slow: true,
        ..trial("the store lost and emptied for 30 seconds", "store-lost", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from five seconds after its begin on, of what the others' shares can do", 0.9, |run| {
                run.of_shares(45, 60)
            }),
            at_least("goodput from five seconds after its end on, of peak", 0.9, |run| run.of_peak(65, 100)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        slow: true,
        ..trial("the publishing replica stopped for 20 seconds", "replica-paused", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from five seconds after it on, of what the others' shares can do", 0.9, |run| {
                run.of_shares(45, 90)
            }),
            at_least("goodput from 15 seconds after it on, of peak", 0.9, |run| run.of_peak(55, 90)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        slow: true,
        ..trial("the publishing replica killed", "replica-killed", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from five seconds after it on, of what the others' shares can do", 0.97, |run| {
                run.of_shares(45, 90)
            }),
            at_most("rejected from five seconds after it on, of arrivals", 0.07, |run| run.rejected(45, 90)),
            CONNECTIONS,
            OLDER_CONFIGS,
        ],
        ..trial("a newcomer without traffic, which publishes", "newest-idle", unchanged)
    },
];

const CONNECTIONS: Goal = at_most("most connections at a time, of the budget", 1.0, |run| {
    let budget = run.scenario.cluster.map_or(0, |cluster| cluster.connections);
    f64::from(run.report.meter.cluster.most_connections) / f64::from(budget)
});

const OLDER_CONFIGS: Goal = at_most("clients that went back to an older config of the cluster", 0.0, |run| {
    run.report.meter.seconds.iter().map(|second| f64::from(second.older_configs)).sum()
});

impl Run {
    /// The same users and one server with as many connections.
    fn one_server(&self) -> Self {
        let mut scenario = self.scenario.clone();
        scenario.database.connections = scenario.connections();
        scenario.cluster = None;
        let report = run(&scenario, &schemes::Poolgate::default(), self.seed);
        Self { scenario, seed: self.seed, report }
    }

    /// Goodput as a share of the peak of what the running servers' pools may have.
    fn of_shares(&self, from: usize, to: usize) -> f64 {
        let most = self.seconds(from, to).iter().map(|second| peak(&self.with_connections(second.shared)));
        self.mean(from, to) * (to - from) as f64 / most.sum::<f64>()
    }

    fn with_connections(&self, connections: u32) -> Scenario {
        let mut scenario = Scenario { cluster: None, ..self.scenario.clone() };
        scenario.database.connections = connections;
        scenario
    }

    fn rejected(&self, from: usize, to: usize) -> f64 {
        let sum = |count: fn(&crate::meter::Second) -> u32| self.seconds(from, to).iter().map(count).sum::<u32>();
        f64::from(sum(|second| second.rejected)) / f64::from(sum(|second| second.arrived).max(1))
    }
}
