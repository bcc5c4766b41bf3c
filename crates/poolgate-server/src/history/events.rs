//! What happened: the differences from one status to the next.

use std::{collections::VecDeque, time::Duration};

use poolgate_types::{Alert, CircuitState, Health, HistoryEvent, HistoryEventKind as Kind, Reason, Severity, Status};
use serde::Serialize;

/// Events that are kept.
const EVENTS: usize = 500;
/// Bytes that are kept of an event's text.
const TEXT: usize = 500;

/// The newest events.
#[derive(Debug)]
pub(super) struct EventLog {
    events: VecDeque<Event>,
    last: Option<Known>,
}

/// An event, with the time since the start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) since_start: Duration,
    kind: Kind,
    from: Option<String>,
    to: Option<String>,
    text: String,
}

/// What is compared with the next status.
#[derive(Debug)]
struct Known {
    level: &'static str,
    health: Health,
    circuit: CircuitState,
    permits: Option<u32>,
    cleanup: Option<String>,
    alerts: Vec<Alert>,
}

impl Event {
    /// As on the wire.
    pub(super) fn told(&self, at: String) -> HistoryEvent {
        let Self { kind, from, to, text, .. } = self.clone();
        HistoryEvent { at, kind, from, to, text }
    }
}

impl EventLog {
    /// About the most that it can hold, in bytes: `from` and `to` are short words.
    #[cfg(test)]
    pub(super) const LARGEST: usize = EVENTS * (size_of::<Event>() + TEXT + 40);

    pub(super) fn new() -> Self {
        Self { events: VecDeque::new(), last: None }
    }

    /// Takes in a status.
    pub(super) fn record(&mut self, now: Duration, status: &Status, reason: Reason) {
        let known = Known::of(status);
        let Some(last) = self.last.replace(known) else {
            let version = env!("CARGO_PKG_VERSION");
            self.add(now, Kind::Started, (None, None), format!("Poolgate {version} started"));
            return;
        };
        let level = status.throttling_level.as_str();
        if last.level != level {
            self.add(now, Kind::Level, (Some(last.level.to_owned()), Some(level.to_owned())), word(&reason));
        }
        if last.health != status.health {
            self.add(now, Kind::Health, (Some(word(&last.health)), Some(word(&status.health))), word(&reason));
        }
        if last.circuit != status.circuit_breaker {
            let change = (Some(word(&last.circuit)), Some(word(&status.circuit_breaker)));
            self.add(now, Kind::Breaker, change, word(&reason));
        }
        let permits = status.gate.as_ref().map(|gate| gate.max_concurrent_requests);
        if let (Some(before), Some(after)) = (last.permits, permits)
            && before != after
        {
            let text = format!("{after} requests may be in flight, {before} before");
            self.add(now, Kind::Gate, (Some(before.to_string()), Some(after.to_string())), text);
        }
        self.compare_alerts(now, &last.alerts, &status.alerts);
        if let Some(report) =
            status.last_cleanup.as_ref().filter(|report| last.cleanup.as_ref() != Some(&report.started_at))
        {
            self.add(now, Kind::Cleanup, (None, Some(report.trigger.as_str().to_owned())), report.summary.clone());
        }
    }

    /// The events from `from` on, oldest first.
    pub(super) fn since(&self, from: Duration) -> Vec<Event> {
        self.events.iter().filter(|event| event.since_start >= from).cloned().collect()
    }

    fn compare_alerts(&mut self, now: Duration, before: &[Alert], after: &[Alert]) {
        let severity = |alerts: &[Alert], alert: &Alert| -> Option<Severity> {
            alerts.iter().find(|other| other.kind == alert.kind).map(|other| other.severity)
        };
        for alert in after {
            let was = severity(before, alert);
            if was != Some(alert.severity) {
                let change = (was.map(|was| word(&was)), Some(word(&alert.severity)));
                self.add(now, Kind::Alert, change, alert.message.clone());
            }
        }
        for alert in before.iter().filter(|alert| severity(after, alert).is_none()) {
            self.add(now, Kind::Alert, (Some(word(&alert.severity)), None), format!("over: {}", alert.message));
        }
    }

    fn add(&mut self, now: Duration, kind: Kind, (from, to): (Option<String>, Option<String>), text: String) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { since_start: now, kind, from, to, text: shortened(text) });
    }
}

impl Known {
    fn of(status: &Status) -> Self {
        Self {
            level: status.throttling_level.as_str(),
            health: status.health,
            circuit: status.circuit_breaker,
            permits: status.gate.as_ref().map(|gate| gate.max_concurrent_requests),
            cleanup: status.last_cleanup.as_ref().map(|report| report.started_at.clone()),
            alerts: status.alerts.clone(),
        }
    }
}

/// A database's message may be long.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT));
    text.shrink_to_fit();
    text
}

/// A label's word on the wire.
fn word(label: &impl Serialize) -> String {
    match serde_json::to_value(label) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use poolgate_types::{AlertKind, CleanupReport, CleanupTrigger, Level};

    use super::*;

    fn golden() -> Status {
        let mut status: Status =
            serde_json::from_str(include_str!("../../../../tests/fixtures/status.json")).expect("the golden status");
        status.throttling_level = Level::Normal;
        (status.alerts, status.last_cleanup) = (Vec::new(), None);
        status
    }

    fn alert(severity: Severity, message: &str) -> Alert {
        Alert { kind: AlertKind::DatabaseSilent, severity, message: message.to_owned(), since: String::new() }
    }

    /// The events after each status has been seen for a second.
    fn events(statuses: &[Status]) -> Vec<(Kind, Option<String>, Option<String>, String)> {
        let mut log = EventLog::new();
        for (second, status) in (0..).zip(statuses) {
            log.record(Duration::from_secs(second), status, Reason::DatabaseUnreachable);
        }
        log.since(Duration::ZERO).into_iter().map(|event| (event.kind, event.from, event.to, event.text)).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let calm = golden();
        let mut hurt = calm.clone();
        hurt.throttling_level = Level::Emergency;
        hurt.circuit_breaker = CircuitState::Open;
        hurt.alerts = vec![alert(Severity::Warning, "slow")];
        hurt.gate.as_mut().expect("a gate").max_concurrent_requests = 18;
        let mut worse = hurt.clone();
        worse.alerts = vec![alert(Severity::Critical, "gone")];
        let told = events(&[calm.clone(), calm.clone(), hurt.clone(), hurt, worse, calm]);
        let brief: Vec<_> = told.iter().map(|(kind, from, to, _)| (*kind, from.as_deref(), to.as_deref())).collect();
        assert_eq!(
            brief,
            [
                (Kind::Started, None, None),
                (Kind::Level, Some("NORMAL"), Some("EMERGENCY")),
                (Kind::Breaker, Some("closed"), Some("open")),
                (Kind::Gate, Some("25"), Some("18")),
                (Kind::Alert, None, Some("warning")),
                (Kind::Alert, Some("warning"), Some("critical")),
                (Kind::Level, Some("EMERGENCY"), Some("NORMAL")),
                (Kind::Breaker, Some("open"), Some("closed")),
                (Kind::Gate, Some("18"), Some("25")),
                (Kind::Alert, Some("critical"), None),
            ]
        );
        assert_eq!(told[1].3, "database_unreachable");
        assert_eq!(told[9].3, "over: gone");
    }

    #[test]
    fn a_cleanup_is_told_with_its_trigger() {
        let calm = golden();
        let report: CleanupReport =
            serde_json::from_str(include_str!("../../../../tests/fixtures/cleanup.json")).expect("the golden report");
        let cleaned = Status {
            last_cleanup: Some(CleanupReport { trigger: CleanupTrigger::Automatic, ..report }),
            ..calm.clone()
        };
        let told = events(&[calm, cleaned.clone(), cleaned]);
        assert_eq!(told.len(), 2);
        assert_eq!((told[1].0, told[1].2.as_deref()), (Kind::Cleanup, Some("automatic")));
    }

    #[test]
    fn the_oldest_go_and_long_texts_are_cut() {
        let calm = golden();
        let hurt = Status { alerts: vec![alert(Severity::Critical, &"ä".repeat(1_000))], ..calm.clone() };
        let statuses: Vec<_> = (0..1_001).map(|turn| if turn % 2 == 0 { calm.clone() } else { hurt.clone() }).collect();
        let told = events(&statuses);
        assert_eq!(told.len(), EVENTS);
        assert!(told.iter().all(|(kind, .., text)| *kind == Kind::Alert && text.len() <= TEXT));
    }
}
