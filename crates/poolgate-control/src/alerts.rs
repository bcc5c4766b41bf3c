//! Alerts. They are raised at once and cleared after a calm period.

use std::time::Duration;

use poolgate_types::{AlertKind, CircuitState, Reason, Severity};

use crate::{
    decision::{ActiveAlert, Event},
    full_gate::{Found, FullGate},
    hysteresis::{Dwell, Hysteresis},
    reachability::Reachability,
    sample::Sample,
    settings::Thresholds,
    window::Window,
    writes::{Hindrance, Writes},
};

/// An active alert with a new cause is reported again, but not more often than this.
const SHORTEST_NEWS: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Alerts {
    usage: Hysteresis<3>,
    /// Connections in use beyond the requests in flight.
    ungated: Window,
    full_gate: FullGate,
    /// Why the breaker opened.
    lost: Reachability,
    calming: Vec<(AlertKind, Dwell<Option<Severity>>)>,
    active: Vec<ActiveAlert>,
    news: Vec<(AlertKind, Duration)>,
}

/// The inputs of the alerts, all of the present tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) usage_percent: f64,
    pub(crate) breaker: CircuitState,
    pub(crate) reason: Reason,
    /// Requests that may be in flight.
    pub(crate) permits: u32,
    pub(crate) writes: &'a Writes,
}

impl Alerts {
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self {
            usage: Hysteresis::new(thresholds.rising()),
            ungated: Window::default(),
            full_gate: FullGate::new(),
            lost: Reachability::Silent,
            calming: Vec::new(),
            active: Vec::new(),
            news: Vec::new(),
        }
    }

    pub(crate) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.usage.set(thresholds.rising());
    }

    pub(crate) fn update(&mut self, situation: Situation<'_>, now: Duration, events: &mut Vec<Event>) {
        let Situation { sample, usage_percent, .. } = situation;
        let alarming = if self.is_by_design(sample, now) { 0.0 } else { usage_percent };
        let usage = match self.usage.update(alarming, now) {
            0 => None,
            1 => Some(Severity::Info),
            2 => Some(Severity::Warning),
            _ => Some(Severity::Critical),
        };
        self.set(AlertKind::PoolUsage, usage, now, events, || format!("connection pool usage {usage_percent:.1} %"));
        self.update_reach(situation, now, events);
        self.update_writes(situation, now, events);

        let full = self.full_gate.update(sample, situation.permits, now);
        self.set_calmly(AlertKind::GateFull, full.map(Found::severity), now, events, || {
            full.map(|full| full.to_string()).unwrap_or_default()
        });
        let paused = (sample.reachability == Reachability::Paused).then_some(Severity::Warning);
        self.set(AlertKind::DatabasePaused, paused, now, events, || {
            "the database is paused in PgBouncer: requests wait until RESUME on its console".to_owned()
        });
        let disobey = (situation.reason == Reason::ClientsDisobey).then_some(Severity::Warning);
        self.set_calmly(AlertKind::ClientsDisobey, disobey, now, events, || {
            "most requests are turned away although clients were told a fair rate: some do not obey it".to_owned()
        });
        let untrusted = sample.proxy_untrusted.then_some(Severity::Warning);
        self.set_calmly(AlertKind::ProxyUntrusted, untrusted, now, events, || {
            "requests come through a proxy that is not trusted, so the clients behind it count as one: name its address \
             in server.trusted_proxies"
                .to_owned()
        });
    }

    pub(crate) fn active(&self) -> &[ActiveAlert] {
        &self.active
    }

    /// A gate that is narrower than the pool keeps the rest of it free, so a pool that is as full as the gate is no trouble
    /// as long as nothing but the gate's requests uses it.
    fn is_by_design(&mut self, sample: &Sample, now: Duration) -> bool {
        let ungated = sample.pool.checked_out.saturating_sub(sample.gate.in_flight);
        self.ungated.add(ungated.into(), 1.0, now);
        let is_narrower = sample.gate.permits < sample.pool.capacity && sample.source.is_none() && !sample.gate.patient;
        is_narrower && self.ungated.ratio(now).is_some_and(|ungated| ungated < 1.0)
    }

    /// Alerts for a database out of reach: critical while it cannot be used, a warning while only new connections fail.
    fn update_reach(&mut self, situation: Situation<'_>, now: Duration, events: &mut Vec<Event>) {
        let Situation { sample, breaker, .. } = situation;
        if sample.reachability.is_lost() {
            self.lost = sample.reachability;
        }
        for (reachability, kind) in [
            (Reachability::Silent, AlertKind::DatabaseSilent),
            (Reachability::LoginRefused, AlertKind::LoginRefused),
            (Reachability::ServerFull, AlertKind::ServerFull),
        ] {
            // A lost database is about to be critical.
            let warns = sample.connects == reachability && !sample.reachability.is_lost();
            let warned = self.calm(kind, warns.then_some(Severity::Warning), now);
            let severity = match breaker {
                CircuitState::Closed => warned,
                CircuitState::Open | CircuitState::HalfOpen => {
                    (self.lost == reachability).then_some(Severity::Critical)
                }
            };
            let cause = sample.cause.as_deref();
            let open = sample.pool.open;
            self.set(kind, severity, now, events, || reach_message(reachability, severity, open, cause));
            let is_current = [sample.reachability, sample.connects].contains(&reachability);
            if let (true, Some(_), Some(_)) = (is_current, severity, cause) {
                self.renew(kind, now, events, || reach_message(reachability, severity, open, cause));
            }
        }
    }

    fn update_writes(&mut self, situation: Situation<'_>, now: Duration, events: &mut Vec<Event>) {
        for hindrance in Hindrance::ALL {
            let severity = situation.writes.severity(hindrance);
            self.set(hindrance.alert(), severity, now, events, || writes_message(hindrance, severity).to_owned());
        }
    }

    /// Like [`set`](Self::set), with a severity that falls after a calm period.
    fn set_calmly(
        &mut self,
        kind: AlertKind,
        severity: Option<Severity>,
        now: Duration,
        events: &mut Vec<Event>,
        message: impl FnOnce() -> String,
    ) {
        let calm = self.calm(kind, severity, now);
        // The message stays as it is during the calm period.
        if severity.is_some() || calm.is_none() {
            self.set(kind, calm, now, events, message);
        }
    }

    fn calm(&mut self, kind: AlertKind, severity: Option<Severity>, now: Duration) -> Option<Severity> {
        let place = self.calming.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.calming.push((kind, Dwell::new(None)));
            self.calming.len() - 1
        });
        self.calming.get_mut(place).and_then(|(_, dwell)| dwell.update(severity, now))
    }

    fn set(
        &mut self,
        kind: AlertKind,
        severity: Option<Severity>,
        now: Duration,
        events: &mut Vec<Event>,
        message: impl FnOnce() -> String,
    ) {
        let before = self.active.iter().find(|alert| alert.kind == kind).map(|alert| alert.severity);
        if before == severity {
            return;
        }
        self.active.retain(|alert| alert.kind != kind);
        self.news.retain(|(known, _)| *known != kind);
        match severity {
            Some(severity) => {
                let alert = ActiveAlert { kind, severity, since: now, message: message() };
                self.active.push(alert.clone());
                self.news.push((kind, now));
                events.push(Event::AlertRaised(alert));
            }
            None => events.push(Event::AlertCleared(kind)),
        }
    }

    /// Replaces the message of an active alert and reports it again, if the message is new.
    fn renew(&mut self, kind: AlertKind, now: Duration, events: &mut Vec<Event>, message: impl FnOnce() -> String) {
        let Some((_, told)) = self.news.iter_mut().find(|(known, _)| *known == kind) else { return };
        let Some(alert) = self.active.iter_mut().find(|alert| alert.kind == kind) else { return };
        if now.saturating_sub(*told) < SHORTEST_NEWS {
            return;
        }
        let message = message();
        if alert.message != message {
            alert.message = message;
            *told = now;
            events.push(Event::AlertRaised(alert.clone()));
        }
    }
}

fn reach_message(reachability: Reachability, severity: Option<Severity>, open: u32, cause: Option<&str>) -> String {
    let trouble = reachability.trouble(cause);
    if severity == Some(Severity::Critical) {
        return trouble;
    }
    format!("{trouble}; new connections fail, {open} open ones go on")
}

const fn writes_message(hindrance: Hindrance, severity: Option<Severity>) -> &'static str {
    match (hindrance, severity) {
        (Hindrance::ReadOnly, Some(Severity::Critical)) => {
            "writes fail: the database is read-only (a standby, or set so); reads work"
        }
        (Hindrance::ReadOnly, _) => "the database says that it is read-only (a standby, or set so)",
        (Hindrance::StorageFull, _) => "writes fail: the database's disk is full; reads work",
        (Hindrance::Blocked, Some(Severity::Warning)) => {
            "statements have waited for seconds for a lock that another session holds on the database"
        }
        (Hindrance::Blocked, _) => "writes fail: another session holds a lock on the database; reads work",
    }
}
