//! The forecast, which is shown wherever arrivals are known, and the pool's size, which follows it where that is opted in.

use std::time::{Duration, Instant};

use poolgate_control::sizing::{self, Sizer, Target};
use poolgate_types::{Backend, Forecast};

use super::sampler::Reading;
use crate::{settings::Settings, shared::Shared, telemetry::names};

/// Time between two looks ahead.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks ahead once a second.
#[derive(Debug)]
pub(super) struct Sizing {
    /// The pool's size at the start, for which the gate's is set.
    floor: u32,
    sizer: Sizer,
    previous: Passed,
    looked: Instant,
    kept_open: u32,
    forecast: Option<Forecast>,
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    arrivals: u64,
    completed: u64,
    in_use: Duration,
}

impl Sizing {
    pub(super) fn new(settings: &Settings, floor: u32) -> Self {
        let ceiling = if settings.sizing.predictive { settings.sizing.ceiling } else { floor };
        let sizer = Sizer::new(sizing::SizingSettings { floor, ceiling, horizon: settings.sizing.horizon });
        Self { floor, sizer, previous: Default::default(), looked: Instant::now(), kept_open: 0, forecast: None }
    }

    /// Called with every tick.
    pub(super) fn update(&mut self, shared: &Shared, reading: &Reading) -> Option<Forecast> {
        let elapsed = self.looked.elapsed();
        if elapsed >= INTERVAL {
            self.looked += elapsed;
            self.look_ahead(shared, reading, elapsed);
        }
        self.forecast
    }

    fn look_ahead(&mut self, shared: &Shared, reading: &Reading, elapsed: Duration) {
        let Reading { figures, totals, demand, .. } = reading;
        if !demand.is_known() {
            return self.forget();
        }
        let passed = Passed {
            // Whoever comes while the database is away comes again and again, and no connection would help.
            arrivals: totals.arrivals.saturating_sub(totals.shut_out),
            completed: totals.completed,
            in_use: shared.observer.times().in_use,
        };
        let before = std::mem::replace(&mut self.previous, passed);
        let demand = sizing::Demand {
            arrivals: passed.arrivals.saturating_sub(before.arrivals),
            completed: passed.completed.saturating_sub(before.completed),
            in_use: passed.in_use.saturating_sub(before.in_use),
            busy: figures.checked_out + figures.waiting.unwrap_or(0),
        };
        self.sizer.update(&demand, elapsed);
        let target = self.sizer.target(size_limit(shared, figures.max_overflow), shared.uptime());
        let horizon_seconds = shared.settings.sizing.horizon.as_secs_f64();
        self.forecast = target.forecast.map(|arrivals_per_second| {
            metrics::gauge!(names::FORECAST).set(arrivals_per_second);
            Forecast { horizon_seconds, arrivals_per_second }
        });
        if shared.settings.sizing.predictive {
            self.apply(shared, &target);
        }
    }

    /// Arrivals do not show any more. A metric that was published cannot be taken back; Prometheus has a value for that.
    fn forget(&mut self) {
        if self.forecast.take().is_some() {
            metrics::gauge!(names::FORECAST).set(f64::NAN);
        }
    }

    fn apply(&mut self, shared: &Shared, target: &Target) {
        let Some(upkeep) = shared.pool().upkeep() else { return };
        let before = upkeep.counts();
        let resized = target.size != before.pool_size && upkeep.resize(target.size, before.max_overflow);
        let size = if resized { target.size } else { before.pool_size };
        // In step with the pool: a gate that stays as it was would keep the new connections idle. By the pool's size and
        // not by its change, for the app may change it too.
        let configured = shared.settings.gate.max_concurrent_requests;
        let permits = configured.saturating_add(size).saturating_sub(self.floor).max(1);
        shared.gate.limiter().set_permits(permits);
        if resized {
            let forecast = target.forecast.unwrap_or(0.0);
            tracing::info!(
                from = before.pool_size,
                to = size,
                gate = permits,
                "Connection pool resized for {forecast:.0} requests/s"
            );
        }
        if target.keep_open != self.kept_open {
            self.kept_open = target.keep_open;
            upkeep.set_min_connections(target.keep_open);
        }
    }
}

/// The largest size that the database server has room for, overflow apart; none at all before it was asked.
fn size_limit(shared: &Shared, max_overflow: u32) -> Option<u32> {
    match shared.contact.backend() {
        Backend::Sqlite => None,
        Backend::Postgres => {
            let limit = shared
                .server_room
                .limit(shared.pool().figures().options_generation, shared.settings.sizing.replicas)
                .unwrap_or(0);
            Some(limit.saturating_sub(max_overflow))
        }
    }
}
