//! The whole loop in virtual time: users, browsers, network, server and database, with the real controller, gate and
//! throttles between them.
//!
//! A [`Scenario`] describes demand and faults, a [`Scheme`] describes how overload is controlled. [`run`] moves requests
//! and messages between the scheme's parts and returns a [`Report`]. All randomness comes from the seed: equal seeds
//! give equal reports, and every scheme sees the same users.
//!
//! ```
//! use poolgate_sim::{run, scenario::Scenario, schemes};
//!
//! let scenario = Scenario::parse(
//!     r#"
//!     title = "Three times what the database can do"
//!     seconds = 20
//!     warm_up_seconds = 8
//!     clients = 100
//!     load = [{ at = 0, times = 3 }]
//!     "#,
//! )?;
//! let ours = run(&scenario, &schemes::Poolgate::default(), 1);
//! let none = run(&scenario, &schemes::NoControl, 1);
//!
//! assert!(ours.goodput > 0.8, "nearly all that the database can give reaches users in time: {}", ours.goodput);
//! assert!(none.goodput < 0.2, "without control they have given up when the answer comes: {}", none.goodput);
//! assert!(ours.arrivals < 1.3, "the excess waits in the browsers: {} times capacity arrives", ours.arrivals);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! On the command line: `cargo xtask sim list`, `cargo xtask sim run step --all-schemes`.
//!
//! # The model
//!
//! - **Users** are an open loop: they want something at the moments of a Poisson process, whose rate follows the
//!   scenario, and do not wait for earlier answers. A wish is served if its answer comes within 2 s. Apps retry a rejected
//!   or lost request twice, after jittered pauses that double, and let it wait in the browser for 85 % of the deadline.
//! - **Browsers**, 1 to 1,000,000, each run the scheme's client: for Poolgate the real throttle with a seed of its own.
//!   They may be hidden (woken at whole seconds), leave, reload, obey nothing, or know only six fields.
//! - **The network** takes 25 ms each way, a pushed config 50 ms, each time half to one and a half times that. Pushed
//!   configs arrive in order.
//! - **The server** admits requests as the scheme's limiter decides, and calls its publisher ten times a second. Each
//!   arrival, rejected or not, costs processor time (75 µs). A request that arrives while half a second of such work is
//!   pending is refused.
//! - **The database** is M/G/c: it works on a fixed number of requests at a time, each for a random time (exponential,
//!   fixed, or bimodal). It shares one processor with the server: while the server handles an arrival the database
//!   stands still, so a rejection has its cost. Beyond a knee, if the scenario sets one, everything takes longer by the
//!   square of the excess.
//! - **A cluster**, if the scenario has one, puts several servers in place of one. Each runs the real
//!   [`Replica`](poolgate_control::cluster::Replica) and the real law on the sums, with the times of the program: an
//!   exchange every second (250 ms while requests queue or clients are limited), 2 s of patience, a look at the database's
//!   list of connections every 2 s. Exchanges take 10 ms there and back, may be lost, and each server's clock has a rate of
//!   its own. All servers share the one processor, so a cluster and a single server can be compared. A balancer sends each
//!   request to a random server that is ready, and each event stream to one; it notices a server that has ended at once,
//!   and one that is stopped after 2 s. Until then requests wait there. Clients whose stream has ended come back to others.
//! - **Faults**: a slower database, an outage, a server that restarts without its state, event streams that are cut; in a
//!   cluster also a rolling deploy, replicas that cannot use the store, a store that loses everything, and replicas that
//!   are stopped, killed, or idle.
//!
//! With `c` the capacity (connections / mean time) and `p` the server's processor time per request, no scheme can serve
//! more than [`peak()`] `= c / (1 + c · p)` in the long run. Goodput is given as a share of that; by chance a single
//! second or a short run can exceed 100 %.
//!
//! # What it leaves out
//!
//! One class of requests, one database. A server's own connections to the store and to watch the database are not counted,
//! a store that refuses does so at once, and what a client has used at one server is not known at the others. No TCP, no lost packets, no bandwidth, no memory, no computing time in
//! browsers. The processor is one queue in order of arrival, without scheduling. The database has no locks, caches or
//! transactions, and its service times are independent. Users have no think time: an open loop is the harder test.
//! Figures are for comparing schemes; for absolute ones measure a real system.
//!
//! # Writing a scenario
//!
//! A scenario is a TOML file; the command line takes its path in place of a name. Everything but `title` and `load` has a
//! default; [`Scenario`] lists all keys with units and ranges. An unknown key is an error.
//!
//! ```
//! # let text = r#"
//! title = "Lunch: demand doubles in a minute, and the database slows down"
//! seconds = 120
//! warm_up_seconds = 10                      # not measured
//! clients = 2000
//! load = [                                  # multiples of capacity
//!     { at = 0, times = 0.7 },
//!     { at = 20, times = 0.7, to = 1.4 },   # rises until the next step
//!     { at = 80, times = 1.4 },
//! ]
//! faults = [{ at = 90, seconds = 10, kind = "slow", factor = 2 }]
//!
//! [database]
//! connections = 20
//! mean_ms = 50
//! distribution = "bimodal"                  # nine of ten are fast
//!
//! [users]
//! deadline_ms = 3000
//! heavy_share = 0.1                         # a tenth of the clients want five times as much
//! heavy_factor = 5
//! # "#;
//! # poolgate_sim::scenario::Scenario::parse(text)?;
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! A file in `scenarios/` that [`scenarios`] names is built in.
//!
//! # Writing a scheme
//!
//! [`Scheme`] makes three parts: a [`Limiter`](scheme::Limiter) at the server's door, a
//! [`Publisher`](scheme::Publisher) that tells the clients something, and a [`Client`](scheme::Client) for each
//! browser. None of them sees more than its real counterpart could. The command line offers the schemes that
//! `bench/rivals` lists; [`schemes`] has the parts that they share.

mod browser;
mod cluster;
mod database;
mod demand;
pub mod goals;
pub mod meter;
mod peak;
mod pool;
pub mod random;
pub mod report;
pub mod scenario;
pub mod scenarios;
mod schedule;
pub mod scheme;
pub mod schemes;
mod waits;
mod world;

pub use peak::peak;
use report::Report;
use scenario::Scenario;
use scheme::Scheme;

/// Runs a scenario under a scheme. Equal seeds give equal reports.
pub fn run(scenario: &Scenario, scheme: &dyn Scheme, seed: u64) -> Report {
    let meter = world::World::new(scenario, scheme, seed).run();
    Report::new(scenario, meter, peak(scenario))
}
