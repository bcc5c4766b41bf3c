//! The loop: collect, decide, publish.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate_control::{Controller, Decision, Reachability};
use poolgate_types::{CircuitState, ThrottlingConfig};
use tokio::{
    sync::watch,
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    activity::ActivityWindow,
    cleanup::Cleaner,
    database_watch::DatabaseWatch,
    documents::{self, ConfigDocument, Published, StatusDocument},
    outage::Outage,
    performance::PerformanceWindow,
    report::Reporter,
    sampler::{Reading, Sampler},
    shared_config::{Cluster, SharedConfig},
    sizing::Sizing,
    status::StatusWriter,
    warm_up::WarmUp,
};
use crate::{
    clients::Registry, gate::Core, history::History, settings::Settings, telemetry::MetricsRenderer,
    watched::WatchedPool,
};

/// Time between two clean-ups of the metrics' memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything that the loop reads and drives.
pub(super) struct Monitor {
    pub(super) pool: Arc<dyn WatchedPool>,
    pub(super) gate: Arc<Core>,
    pub(super) database: Arc<DatabaseWatch>,
    pub(super) cleaner: Arc<Cleaner>,
    pub(super) published: Arc<Published>,
    pub(super) history: Arc<History>,
    pub(super) metrics: Option<Arc<dyn MetricsRenderer>>,
    pub(super) reloaded: watch::Receiver<Settings>,
    pub(super) closing: CancellationToken,
    pub(super) started: Instant,
    pub(super) sampler: Sampler,
    pub(super) controller: Controller,
    /// What several servers say together.
    pub(super) shared: Option<SharedConfig>,
    pub(super) reporter: Reporter,
    pub(super) performance: PerformanceWindow,
    pub(super) activity: ActivityWindow,
    pub(super) clients: Registry,
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
        self.take_reloaded();
        let in_force = self.published.config();
        let reading = self.sampler.read(&in_force.config, self.sizing.permits(self.pool.figures().capacity));
        let decision = self.decide(&reading);
        self.carry_out(&decision, &reading);
        self.publish(&decision, &reading, &in_force.config);
    }

    /// Decides for this server. If several have one config, it is what all say.
    fn decide(&mut self, reading: &Reading) -> Decision {
        let now = self.started.elapsed();
        let Some(shared) = &mut self.shared else { return self.controller.tick(&reading.sample, now) };
        if let Some(heard) = shared.heard() {
            self.controller.hear(heard);
        }
        shared.settle(self.controller.tick(&reading.sample, now), reading)
    }

    /// Takes over reloaded settings; everything that was learned stays.
    fn take_reloaded(&mut self) {
        if !self.reloaded.has_changed().unwrap_or(false) {
            return;
        }
        let settings = self.reloaded.borrow_and_update();
        self.sizing.set_permits(settings.gate.max_concurrent_requests);
        self.controller.set_thresholds((&settings.thresholds).into());
        if let Some(shared) = &self.shared {
            shared.peers().set_thresholds((&settings.thresholds).into());
        }
        self.reporter.set_critical(settings.thresholds.critical);
        self.status.thresholds = documents::usage_thresholds(&settings.thresholds);
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
        if self.performance.observed {
            // A gauge cannot say that nothing was measured.
            Reporter::efficiency(performance.pool_efficiency.unwrap_or(1.0));
        }
        let backend = self.database.backend();
        let forecast = self.sizing.update(&*self.pool, backend, reading, self.started.elapsed());
        let cluster = self.shared.as_mut().map(SharedConfig::status);
        let others_serve = cluster.as_ref().is_some_and(Cluster::others_serve);
        let status = self.status.write(decision, reading, backend, performance, forecast, cluster);
        Reporter::alerts(&status.alerts);
        self.history.record(self.started.elapsed(), &status, &reading.totals, decision.config.reason);
        if let Some(activity) = self.activity.update(self.gate.route_figures(), &*self.pool, &self.clients) {
            self.published.set_activity(&activity);
        }
        let trouble = self.outage.update(&reading.database, decision.gate.circuit, others_serve);
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
