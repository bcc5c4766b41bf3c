//! The forecast, which is always shown, and the pool's size, which follows it where that is opted in.

use std::time::{Duration, Instant};

use poolgate_control::sizing::{self, Demand, Sizer, Target};
use poolgate_types::{Backend, Forecast};

use super::sampler::Reading;
use crate::{gate::Totals, observer::Times, settings::Settings, shared::Shared, telemetry::names};

/// Time between two looks ahead.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks ahead once a second.
#[derive(Debug)]
pub(super) struct Sizing {
    sizer: Sizer,
    previous: (Totals, Times),
    looked: Instant,
    kept_open: u32,
    forecast: Option<Forecast>,
}

impl Sizing {
    pub(super) fn new(settings: &Settings, floor: u32) -> Self {
        let ceiling = if settings.sizing.predictive { settings.sizing.ceiling } else { floor };
        let sizer = Sizer::new(sizing::SizingSettings { floor, ceiling, horizon: settings.sizing.horizon });
        Self { sizer, previous: Default::default(), looked: Instant::now(), kept_open: 0, forecast: None }
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
        let Reading { figures, totals, .. } = reading;
        let times = shared.observer.times();
        let (totals_before, times_before) = std::mem::replace(&mut self.previous, (*totals, times));
        let since = totals.since(&totals_before);
        let demand = Demand {
            arrivals: since.arrivals,
            completed: since.completed,
            in_use: times.in_use.saturating_sub(times_before.in_use),
            busy: figures.checked_out + figures.waiting.unwrap_or(0),
        };
        self.sizer.update(&demand, elapsed);
        let target = self.sizer.target(size_limit(shared, figures.max_overflow), shared.uptime());
        let horizon_seconds = shared.settings.sizing.horizon.as_secs_f64();
        let forecast = |arrivals_per_second| Forecast { horizon_seconds, arrivals_per_second };
        self.forecast = target.forecast.map(forecast);
        metrics::gauge!(names::FORECAST).set(target.forecast.unwrap_or(0.0));
        if shared.settings.sizing.predictive {
            self.apply(shared, reading, &target);
        }
    }

    fn apply(&mut self, shared: &Shared, reading: &Reading, target: &Target) {
        let Some(upkeep) = shared.pool().upkeep() else { return };
        let figures = &reading.figures;
        if target.size != figures.pool_size && upkeep.resize(target.size, figures.max_overflow) {
            // In step with the pool: a gate that stays as it was would keep the new connections idle.
            let gate = shared.gate.limiter();
            let permits = (gate.permits() + target.size).saturating_sub(figures.pool_size).max(1);
            gate.set_permits(permits);
            let forecast = target.forecast.unwrap_or(0.0);
            tracing::info!(
                from = figures.pool_size,
                to = target.size,
                gate = permits,
                "Connection pool resized for {forecast:.0} requests/s"
            );
        }
        if target.keep_open != self.kept_open {
            self.kept_open = target.keep_open;
            upkeep.keep_open(target.keep_open);
        }
    }
}

/// The largest size that the database server has room for, overflow apart; none at all before it was asked.
fn size_limit(shared: &Shared, max_overflow: u32) -> Option<u32> {
    match shared.contact.backend() {
        Backend::Sqlite => None,
        Backend::Postgres => {
            let limit = shared.server_room.limit(shared.settings.sizing.replicas).unwrap_or(0);
            Some(limit.saturating_sub(max_overflow))
        }
    }
}
