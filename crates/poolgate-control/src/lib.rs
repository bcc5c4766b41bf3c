//! Decides what the clients of a database may send. Pure: no clock, no I/O, no randomness of its own, no panics.
//!
//! A server or a simulator that can see the pool drives a [`Controller`]:
//!
//! 1. Every tick, 100 ms apart, gather what happened since the previous one into a [`Sample`]: gauges with their
//!    present values, counters as differences.
//! 2. Call [`Controller::tick`] with the sample and `now`, a monotonic time since an origin of your choice.
//! 3. Give [`Decision::gate`] to the gate. If [`Decision::config_changed`], publish [`Decision::config`]. Log
//!    [`Decision::events`]. While [`Decision::cleanup_due`], run a cleanup as often as your cooldown allows.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_control::{Controller, GateSample, PoolSample, Sample, Settings};
//! use poolgate_types::Level;
//!
//! let mut controller = Controller::new(Settings::default(), 1_763_880_000_000, 0);
//! let mut now = Duration::ZERO;
//! let mut tick = |arrivals, rejected| {
//!     now += Duration::from_millis(100);
//!     let sample = Sample {
//!         pool: PoolSample { checked_out: 25, open: 25, capacity: 30, ..Default::default() },
//!         gate: GateSample { permits: 25, in_flight: 25, queued: 9, arrivals, rejected, ..Default::default() },
//!         completed: 50, // in 100 ms: 500 requests a second can be served
//!         live_clients: 100,
//!         streaming_clients: 100,
//!         ..Default::default()
//!     };
//!     controller.tick(&sample, now).config
//! };
//!
//! let config = tick(50, 0);
//! assert!(!config.enforced, "arrivals equal capacity: no limit");
//!
//! let config = (0..10).map(|_| tick(200, 150)).last().unwrap();
//! assert!(config.throttling_level >= Level::Moderate);
//! let rate = config.fair_rate_per_second.unwrap();
//! assert!(rate < 10.0, "100 clients share 500 requests a second: {rate}");
//! ```
//!
//! The module [`gate`] decides which requests get into the pool, wait, or are rejected; [`sizing`] decides how large
//! the pool should be; [`cluster`] divides the database's connections among many replicas, which publish one config.
//!
//! # What drives what
//!
//! | signal | effect |
//! |---|---|
//! | arrivals against capacity; queue and rejects at the gate | the fair rate ([`Policy::Adaptive`]) |
//! | a queue that does not drain, if the source rejects no request ([`GateSample::patient`]) | the fair rate |
//! | pool usage averaged over 2 s | health, alerts, cleanup; with [`Policy::Fixed`] also the level and its row |
//! | rejects (over quota or not) and acquire waits over 2 s while a rate is in force | the level, which is only a label |
//! | connections that a source shows behind an app ([`SourceSample`]) | the gate's permits |
//! | a database that cannot be used ([`Reachability::is_lost`]) | the circuit breaker |
//! | a database that is paused ([`Reachability::Paused`]) | few requests for each client until it is resumed |
//! | writes that fail while the database answers ([`WorkSample`]) | health, alerts |
//!
//! Labels rise at once and fall after 5 s of calm, AGGRESSIVE after 30 s as long as clients are limited. A usage
//! threshold is left 5 points below its value. The config's version changes only when its content does.

mod adaptive;
mod alerts;
mod average;
mod breaker;
mod capacity;
pub mod cluster;
mod concurrency;
mod controller;
mod decision;
mod full_gate;
pub mod gate;
mod gate_width;
mod hold;
mod hysteresis;
mod notices;
mod places;
mod publish;
mod ratio;
mod reachability;
#[expect(clippy::indexing_slicing, reason = "every route's number is below MOST_ROUTES")]
mod route_use;
mod sample;
mod settings;
pub mod sizing;
mod standing_queue;
mod window;
mod writes;

pub use controller::Controller;
pub use decision::{ActiveAlert, Decision, Event};
pub use gate_width::DatabaseUse;
pub use notices::{Notice, Notices};
pub use reachability::{Evidence, Reachability};
pub use route_use::MOST_ROUTES;
pub use sample::{GateSample, PoolSample, Probes, Sample, SourceSample, WorkSample};
pub use settings::{AdaptiveSettings, BreakerSettings, InvalidSettings, Policy, Settings, Thresholds};
