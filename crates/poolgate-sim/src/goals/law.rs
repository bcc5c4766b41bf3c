//! The trials of a single server.

use super::{Goal, Run, Trial, at_least, at_most, trial, unchanged};
use crate::{
    peak,
    scenario::{Distribution, Fault, FaultKind, Scenario},
};

/// Every trial, from plain to strange.
pub(super) const TRIALS: &[Trial] = &[
    overload("1.05 times the capacity", |scenario| scenario.load[0].times = 1.05),
    overload("1.2 times the capacity", |scenario| scenario.load[0].times = 1.2),
    Trial { slow: true, ..overload("1.5 times the capacity", |scenario| scenario.load[0].times = 1.5) },
    overload("3 times the capacity", |scenario| scenario.load[0].times = 3.0),
    overload("10 times the capacity", |scenario| scenario.load[0].times = 10.0),
    beginning("the first twelve seconds of 1.05 times the capacity", |scenario| begin(scenario, 1000, 1.05)),
    beginning("the first twelve seconds of 1.2 times the capacity", |scenario| begin(scenario, 1000, 1.2)),
    beginning("the same with 10 clients, 1.05 times the capacity", |scenario| begin(scenario, 10, 1.05)),
    Trial {
        goals: DEAR,
        ..trial("rejections that cost 0.3 ms, 3 times the capacity", "constant", |scenario| dear(scenario, 3.0))
    },
    Trial {
        goals: DEAR,
        slow: true,
        ..trial("rejections that cost 0.3 ms, 10 times the capacity", "constant", |scenario| dear(scenario, 10.0))
    },
    Trial {
        goals: &[
            at_most("connections idle", 0.01, Run::idle),
            at_most("rejected, of arrivals", 0.06, |run| run.report.rejected),
        ],
        slow: true,
        ..trial("holds of 5 ms, 3 times the capacity", "constant", |scenario| scenario.database.mean_ms = 5.0)
    },
    Trial {
        goals: &[
            at_most("connections idle", 0.03, Run::idle),
            at_most("rejected, of arrivals", 0.06, |run| run.report.rejected),
        ],
        ..trial("one hold in ten takes 11 times as long, 3 times the capacity", "constant", |scenario| {
            scenario.database.distribution = Distribution::Bimodal;
        })
    },
    Trial {
        goals: &[
            at_most("connections idle", 0.06, Run::idle),
            at_most("rejected, of arrivals", 0.08, |run| run.report.rejected),
        ],
        ..trial("holds of 500 ms, 3 times the capacity", "constant", |scenario| {
            (scenario.database.mean_ms, scenario.users.deadline_ms) = (500.0, 4000);
        })
    },
    Trial {
        goals: &[
            at_least("answered, of what is sent, from the first second on", 0.97, |run| 1.0 - run.report.rejected),
            at_most("time with a narrower gate", 0.0, Run::narrowed),
            at_most("level changes a minute", 3.0, |run| run.report.level_changes),
        ],
        ..trial("200 users, holds of exactly 200 ms, 3.2 times the capacity from the start", "constant", |scenario| {
            (scenario.clients, scenario.seconds, scenario.warm_up_seconds) = (200, 60, 0);
            scenario.load[0].times = 3.2;
            (scenario.database.connections, scenario.database.mean_ms) = (25, 200.0);
            scenario.database.distribution = Distribution::Fixed;
        })
    },
    Trial {
        goals: &[at_least("goodput, of peak", 0.95, |run| run.report.goodput)],
        ..trial("10 clients, 3 times the capacity", "constant", |scenario| scenario.clients = 10)
    },
    Trial {
        goals: &[
            at_most("arrivals in any second after the first, of capacity", 1.25, |run| run.most_arrivals(21, 60)),
            at_least("goodput in the worst second from the step on, of peak", 0.85, |run| run.report.worst_second),
        ],
        ..trial("step from 0.6 to 4 times the capacity", "step", unchanged)
    },
    Trial {
        goals: &[
            at_least("goodput from two seconds after it on, of before", 0.95, |run| {
                run.mean(52, 57) / run.mean(10, 20)
            }),
            at_most("share of the time limited, ten seconds after it", 0.0, |run| run.limited(60, 75)),
        ],
        ..trial("pulse of 4 times the capacity", "pulse", unchanged)
    },
    Trial {
        goals: &[
            at_least("Jain's index", 0.98, |run| run.report.jain),
            at_least("least served client, of the median", 0.6, |run| run.report.least_to_median),
        ],
        // Long enough to compare shares: in a minute each client is served about twenty times, which varies by a fifth by
        // chance alone.
        ..trial("a tenth wants 5 times as much, twice the capacity", "heavy", |scenario| scenario.seconds = 195)
    },
    cold("an empty pool at the start, connects of 150 ms, 0.6 times the capacity", unchanged),
    cold("all connections replaced, connects of 150 ms, 0.6 times the capacity", |scenario| {
        scenario.database.warm = true;
        scenario.faults = vec![Fault::new(FaultKind::Dispose, 10.0, 1.0)];
    }),
    cold("the same under one client that does not listen", |scenario| {
        scenario.database.warm = true;
        scenario.faults = vec![Fault::new(FaultKind::Dispose, 10.0, 1.0)];
        (scenario.clients, scenario.users.rogue_share, scenario.users.retries) = (1, 1.0, 0);
    }),
    Trial {
        goals: &[at_least("goodput from ten seconds after the start on, of peak", 0.96, |run| run.of_peak(10, 30))],
        ..trial("an empty pool at the start, connects of 150 ms, 1.2 times the capacity", "cold-start", |scenario| {
            scenario.load[0].times = 1.2;
        })
    },
    healthy("1,000 clients, 0.6 times the capacity", |scenario| scenario.load[0].times = 0.6),
    healthy("10 clients, 0.8 times the capacity", |scenario| scenario.clients = 10),
    healthy("100 clients, 0.8 times the capacity", |scenario| scenario.clients = 100),
    healthy("1,000 clients, 0.8 times the capacity", |scenario| scenario.clients = 1000),
    healthy("4,000 clients, 0.8 times the capacity", |scenario| scenario.clients = 4000),
    Trial {
        goals: &[
            at_least("goodput from three seconds after the change on, of what is left", 0.95, |run| {
                4.0 * run.mean(23, 50) / peak(&run.scenario)
            }),
            at_least("goodput from three seconds after the end on, of before", 0.9, |run| {
                run.mean(53, 60) / run.mean(10, 20)
            }),
        ],
        ..trial("database 4 times as slow for 30 seconds", "slow-down", unchanged)
    },
    Trial {
        goals: &[at_least("goodput from ten seconds after the step on, of peak", 0.8, |run| run.of_peak(30, 90))],
        ..trial("database that does best with 10 requests at a time, step to 3 times that", "crowded", unchanged)
    },
    Trial {
        goals: &[at_least("goodput from five seconds after its end on, of before", 0.9, |run| {
            run.mean(45, 80) / run.mean(10, 20)
        })],
        ..trial("database silent for 20 seconds", "outage", unchanged)
    },
    chaos("30 % obey nothing, 3 times the capacity", "rogues"),
    chaos("half of the tabs hidden, 3 times the capacity", "hidden"),
    chaos("visits of 30 seconds, 3 times the capacity", "sessions"),
    chaos("users reload when a request fails, 3 times the capacity", "reload-storm"),
    chaos("clients that know six fields only, 3 times the capacity", "six-fields"),
    Trial {
        goals: &[at_least("goodput from five seconds after the step on, of peak", 0.9, |run| run.of_peak(30, 75))],
        ..trial("no event stream for 20 seconds, a step to 3 times the capacity meanwhile", "stream-cut", unchanged)
    },
    Trial {
        goals: &[at_least("goodput from five seconds after the step on, of peak", 0.93, |run| run.of_peak(25, 75))],
        ..trial("configs that arrive 1 to 3 seconds late, step to 4 times the capacity", "late", unchanged)
    },
    Trial {
        goals: &[at_least("goodput from five seconds after it on, of peak", 0.9, |run| run.of_peak(27, 60))],
        ..trial("restart under 4,000 clients, twice the capacity", "restart", unchanged)
    },
    Trial {
        goals: &[at_least("goodput from five seconds after the trigger on, of before", 0.95, |run| {
            run.mean(35, 80) / run.mean(10, 20)
        })],
        ..trial("a storm of retries whose trigger is removed", "retry-storm", unchanged)
    },
    Trial {
        goals: &[at_least("goodput, of peak", 0.93, |run| run.report.goodput)],
        slow: true,
        ..trial("a million clients, 10 times the capacity", "million", unchanged)
    },
];

const fn overload(title: &'static str, change: fn(&mut Scenario)) -> Trial {
    const GOALS: &[Goal] = &[
        at_least("goodput, of peak", 0.985, |run| run.report.goodput),
        at_most("connections idle", 0.0125, Run::idle),
        at_most("arrivals, of capacity", 1.06, |run| run.report.arrivals),
        at_most("rejected, of arrivals", 0.04, |run| run.report.rejected),
        at_most("wait at the gate, 99th percentile, s", 0.135, |run| run.report.wait.1),
        at_most("variation of a second's goodput", 0.06, |run| run.report.variation),
        at_most("level changes a minute", 0.5, |run| run.report.level_changes),
        at_most("time with a narrower gate", 0.0, Run::narrowed),
        at_most("configs a second", 1.5, |run| run.report.published),
    ];
    // Three minutes: in one minute the holds alone are half a percent shorter or longer than their mean, by chance.
    Trial { goals: GOALS, ..trial(title, "overload", change) }
}

/// The best plain gate, first come, first served, serves 96.8 to 98.8 % in these seconds.
const fn beginning(title: &'static str, change: fn(&mut Scenario)) -> Trial {
    const GOALS: &[Goal] = &[
        at_least("goodput, of peak", 0.965, |run| run.report.goodput),
        at_most("rejected, of arrivals", 0.09, |run| run.report.rejected),
    ];
    Trial { goals: GOALS, ..trial(title, "overload", change) }
}

fn begin(scenario: &mut Scenario, clients: u32, times: f64) {
    (scenario.clients, scenario.seconds, scenario.warm_up_seconds) = (clients, 12, 0);
    scenario.load[0].times = times;
}

const fn healthy(title: &'static str, change: fn(&mut Scenario)) -> Trial {
    const GOALS: &[Goal] = &[
        at_most("share of the time limited", 0.0, |run| run.report.limited),
        at_most("rejected, of arrivals", 0.0002, |run| run.report.rejected),
        at_least("served, of what is served without control", 0.995, |run| {
            run.report.served_share / run.without_control().served_share
        }),
        at_most("latency, 99th percentile, of that without control", 1.05, |run| {
            run.report.latency.1 / run.without_control().latency.1
        }),
    ];
    Trial { goals: GOALS, ..trial(title, "healthy", change) }
}

const fn cold(title: &'static str, change: fn(&mut Scenario)) -> Trial {
    const GOALS: &[Goal] = &[
        at_most("share of the time limited", 0.0, |run| run.report.limited),
        at_most("rejected, of arrivals", 0.0003, |run| run.report.rejected),
    ];
    Trial { goals: GOALS, ..trial(title, "cold-start", change) }
}

/// Goals where a rejection costs as much as an app that authenticates first, a third of a core at the capacity.
const DEAR: &[Goal] = &[
    at_least("goodput, of peak", 0.98, |run| run.report.goodput),
    at_most("rejected, of arrivals", 0.045, |run| run.report.rejected),
];

fn dear(scenario: &mut Scenario, times: f64) {
    scenario.load[0].times = times;
    scenario.server.request_us = 300.0;
}

const fn chaos(title: &'static str, scenario: &'static str) -> Trial {
    const GOALS: &[Goal] = &[at_least("goodput, of peak", 0.9, |run| run.of_peak(15, 75))];
    Trial { goals: GOALS, ..trial(title, scenario, unchanged) }
}
