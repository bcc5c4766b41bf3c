//! The loop: collect, decide, publish.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate_control::{Controller, Decision, Reachability};
use poolgate_types::{CircuitState, ThrottlingConfig};
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    cleanup::Cleaner,
    database_watch::DatabaseWatch,
    documents::{ConfigDocument, Published, StatusDocument},
    outage::Outage,
    performance::PerformanceWindow,
    report::Reporter,
    sampler::{Reading, Sampler},
    sizing::Sizing,
    status::StatusWriter,
    warm_up::WarmUp,
};
use crate::{gate::Core, telemetry::MetricsRenderer, watched::WatchedPool};

/// Time between two clean-ups of the metrics' memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything that the loop reads and drives.
pub(super) struct Monitor {
    pub(super) pool: Arc<dyn WatchedPool>,
    pub(super) gate: Arc<Core>,
    pub(super) database: Arc<DatabaseWatch>,
    pub(super) cleaner: Arc<Cleaner>,
    pub(super) published: Arc<Published>,
    pub(super) metrics: Option<Arc<dyn MetricsRenderer>>,
    pub(super) closing: CancellationToken,
    pub(super) started: Instant,
    pub(super) sampler: Sampler,
    pub(super) controller: Controller,
    pub(super) reporter: Reporter,
    pub(super) performance: PerformanceWindow,
    pub(super) sizing: Sizing,
    pub(super) status: StatusWriter,
    pub(super) warm_up: WarmUp,
    pub(super) outage: Outage,
}

impl Monitor {
    /// Ticks until the server closes.
    pub(super) async fn run(mut self, tick: Duration) {
        let (pool, closing) = (Arc::clone(&self.pool), self.closing.clone());
        let (mut ticks, mut upkeep) = (time::interval(tick), time::interval(UPKEEP));
        // A late tick is one tick: the controller knows how long it was.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                _ = ticks.tick() => {
                    if let Some(reading) = pool.refresh()
                        && closing.run_until_cancelled(reading).await.is_none()
                    {
                        return;
                    }
                    self.tick();
                }
                _ = upkeep.tick() => {
                    if let Some(metrics) = &self.metrics {
                        metrics.upkeep();
                    }
                }
            }
        }
    }

    fn tick(&mut self) {
        let in_force = self.published.config();
        let reading = self.sampler.read(&in_force.config, self.sizing.permits());
        let decision = self.controller.tick(&reading.sample, self.started.elapsed());
        self.carry_out(&decision, &reading);
        self.publish(&decision, &reading, &in_force.config);
    }

    fn carry_out(&mut self, decision: &Decision, reading: &Reading) {
        self.gate.obey(&decision.config, &decision.gate);
        self.database.doubt(reading.doubt || decision.gate.circuit != CircuitState::Closed);
        self.clean_up(decision);
        let answers = reading.database.reachability == Reachability::Answering;
        self.warm_up.update(&reading.figures, answers, Instant::now());
    }

    fn publish(&mut self, decision: &Decision, reading: &Reading, in_force: &ThrottlingConfig) {
        if decision.config != *in_force {
            tracing::debug!(version = decision.config.version, "Config published");
            self.published.config.send_replace(Arc::new(ConfigDocument::new(decision.config.clone())));
        }
        self.reporter.report(decision, reading);
        let performance = self.performance.update(reading, self.gate.responses()).clone();
        if let Some(efficiency) = performance.pool_efficiency {
            Reporter::efficiency(efficiency);
        }
        let backend = self.database.backend();
        let forecast = self.sizing.update(&*self.pool, backend, reading, self.started.elapsed());
        let status = self.status.write(decision, reading, backend, performance, forecast);
        let trouble = self.outage.update(&reading.database);
        self.published.status.send_replace(Arc::new(StatusDocument::new(status, trouble)));
    }

    fn clean_up(&self, decision: &Decision) {
        // Without a pool of Poolgate's own a cleanup could only say again that it can do nothing.
        if self.pool.upkeep().is_none() {
            return;
        }
        if let Some(admitted) = self.cleaner.admit_automatic(decision.cleanup_due, decision.usage_percent) {
            let (cleaner, pool) = (Arc::clone(&self.cleaner), Arc::clone(&self.pool));
            tokio::spawn(async move { cleaner.run(&*pool, admitted).await });
        }
    }
}
