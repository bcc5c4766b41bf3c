//! The forecast, which is shown if arrivals are known, and the pool's size, which follows it if that is opted in.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate_control::sizing::{self, Load, Sizer, Target};
use poolgate_types::{Backend, Forecast};

use super::{sampler::Reading, server_limits::ServerLimits};
use crate::{
    settings::SizingSettings,
    telemetry::names,
    watched::{Figures, WatchedPool},
};

/// Time between two forecasts.
const INTERVAL: Duration = Duration::from_secs(1);

/// Forecasts once a second.
#[derive(Debug)]
pub(super) struct Sizing {
    settings: SizingSettings,
    /// The pool's size at the start; the gate's permits are set for this size.
    floor: u32,
    /// The gate's permits by the settings.
    configured_permits: u32,
    /// The gate's permits by the settings and by the growth of the pool.
    permits: u32,
    /// The pool's capacity if it were alone, if it shares the database with other replicas.
    whole: Option<u32>,
    server_limits: Arc<ServerLimits>,
    sizer: Sizer,
    previous: Passed,
    forecast_at: Instant,
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
    /// `floor` is the pool's size; `permits` are the gate's by the settings. `whole` is the pool's capacity if it were
    /// alone, and `None` if it is.
    pub(super) fn new(
        settings: SizingSettings,
        floor: u32,
        permits: u32,
        whole: Option<u32>,
        server_limits: Arc<ServerLimits>,
    ) -> Self {
        let ceiling = if settings.predictive { settings.ceiling } else { floor };
        let sizer = Sizer::new(sizing::SizingSettings { floor, ceiling, horizon: settings.horizon });
        Self {
            settings,
            floor,
            configured_permits: permits,
            permits,
            whole,
            server_limits,
            sizer,
            previous: Passed::default(),
            forecast_at: Instant::now(),
            kept_open: 0,
            forecast: None,
        }
    }

    /// Requests that may be in flight by the settings and by the growth of the pool, or by its share: `capacity` is the
    /// number of connections that it may have now.
    pub(super) fn permits(&self, capacity: u32) -> u32 {
        match self.whole {
            Some(whole) => shared_permits(self.configured_permits, capacity, whole),
            None => self.permits,
        }
    }

    /// Changes the gate's permits by the settings; what the pool has grown by is kept.
    pub(super) fn set_permits(&mut self, configured: u32) {
        let growth = self.permits.saturating_sub(self.configured_permits);
        self.configured_permits = configured;
        self.permits = configured.saturating_add(growth).max(1);
    }

    /// Called with every tick; `now` is the time since the start.
    pub(super) fn update(
        &mut self,
        pool: &dyn WatchedPool,
        backend: Backend,
        reading: &Reading,
        now: Duration,
    ) -> Option<Forecast> {
        let elapsed = self.forecast_at.elapsed();
        if elapsed >= INTERVAL {
            self.forecast_at += elapsed;
            if reading.visibility.is_known() {
                self.look_ahead(pool, backend, reading, elapsed, now);
            } else {
                self.forget();
            }
        }
        self.forecast
    }

    fn look_ahead(
        &mut self,
        pool: &dyn WatchedPool,
        backend: Backend,
        reading: &Reading,
        elapsed: Duration,
        now: Duration,
    ) {
        let Reading { figures, totals, times, .. } = reading;
        let passed = Passed {
            // A request that is rejected by the breaker comes again and again, and no connection would help it.
            arrivals: totals.arrivals.saturating_sub(totals.shut_out),
            completed: totals.completed,
            in_use: times.in_use,
        };
        let before = mem::replace(&mut self.previous, passed);
        let load = Load {
            arrivals: passed.arrivals.saturating_sub(before.arrivals),
            completed: passed.completed.saturating_sub(before.completed),
            in_use: passed.in_use.saturating_sub(before.in_use),
            busy: figures.checked_out + figures.waiting.unwrap_or(0),
        };
        self.sizer.update(&load, elapsed);
        let target = self.sizer.target(self.size_limit(backend, figures), now);
        let horizon_seconds = self.settings.horizon.as_secs_f64();
        self.forecast = target.forecast.map(|arrivals_per_second| {
            metrics::gauge!(names::FORECAST).set(arrivals_per_second);
            Forecast { horizon_seconds, arrivals_per_second }
        });
        if self.settings.predictive {
            self.apply(pool, &target);
        }
    }

    /// Arrivals are unknown now. A published metric cannot be taken back; Prometheus has a value for that.
    fn forget(&mut self) {
        if self.forecast.take().is_some() {
            metrics::gauge!(names::FORECAST).set(f64::NAN);
        }
    }

    fn apply(&mut self, pool: &dyn WatchedPool, target: &Target) {
        let Some(upkeep) = pool.upkeep() else { return };
        let before = upkeep.counts();
        let resized = target.size != before.pool_size && upkeep.resize(target.size, before.max_overflow);
        let size = if resized { target.size } else { before.pool_size };
        // The gate grows with the pool, or the new connections would stay idle. It follows the pool's size, not its
        // change, because the app may change the size, too.
        self.permits = self.configured_permits.saturating_add(size).saturating_sub(self.floor).max(1);
        if resized {
            let forecast = target.forecast.unwrap_or(0.0);
            tracing::info!(
                from = before.pool_size,
                to = size,
                gate = self.permits,
                "Connection pool resized for {forecast:.0} requests/s"
            );
        }
        if target.keep_open != self.kept_open {
            self.kept_open = target.keep_open;
            upkeep.set_min_connections(target.keep_open);
        }
    }

    /// The largest size that the database server allows, without overflow; zero before it was asked.
    fn size_limit(&self, backend: Backend, figures: &Figures) -> Option<u32> {
        match backend {
            Backend::Sqlite => None,
            Backend::Postgres => {
                let limit = self.server_limits.limit(figures.options_generation, self.settings.replicas).unwrap_or(0);
                Some(limit.saturating_sub(figures.max_overflow))
            }
        }
    }
}

/// The gate shrinks with the pool, or requests would wait behind it, where they keep no order.
fn shared_permits(configured: u32, capacity: u32, whole: u32) -> u32 {
    let whole = u64::from(whole.max(1));
    let permits = (u64::from(configured) * u64::from(capacity).min(whole)).div_ceil(whole);
    u32::try_from(permits).unwrap_or(configured).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_shrinks_with_the_pools_share() {
        let permits = [30, 15, 1, 0, 60].map(|capacity| shared_permits(25, capacity, 30));
        assert_eq!(permits, [25, 13, 1, 1, 25]);
    }
}
