//! Which alerts to tell a receiver, and when. The sender asks for the next notice, sends it, and says how that ended.
//!
//! A notice has all alerts that are active, and those that have ended since a notice named them. It is due when an alert
//! begins, changes its severity or ends. One notice is on its way at a time. A notice that fails is tried again after 1, 2, 4
//! … 60 s, minus up to half at random, with what is true by then. So at most one alert of each kind waits, and an alert that a
//! receiver may have heard of is always told to be over, however often that fails.

use std::time::Duration;

use poolgate_types::{Alert, Severity};

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a receiver has been told.
#[derive(Clone, Debug)]
pub struct Notices {
    least: Severity,
    repeat: Option<Duration>,
    told: Vec<Told>,
    attempt: Attempt,
    /// Failures in a row.
    failures: u32,
    number: u64,
    arrived_at: Duration,
}

/// A message for a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// From 1; the same when the same notice is tried again.
    pub number: u64,
    /// Alerts that are active.
    pub firing: Vec<Alert>,
    /// Alerts that the receiver may have heard of, and that are over.
    pub resolved: Vec<Alert>,
}

/// An alert that the receiver may have heard of.
#[derive(Clone, Debug)]
struct Told {
    alert: Alert,
    arrived: bool,
}

#[derive(Clone, Debug)]
enum Attempt {
    None,
    OnItsWay(Notice),
    Failed { notice: Notice, again_at: Duration },
}

impl Notices {
    /// For a receiver that wants alerts of at least this severity. With `repeat` a notice follows after that time, too, while an
    /// alert is active: for receivers that forget alerts which are not repeated.
    pub const fn new(least: Severity, repeat: Option<Duration>) -> Self {
        Self {
            least,
            repeat,
            told: Vec::new(),
            attempt: Attempt::None,
            failures: 0,
            number: 0,
            arrived_at: Duration::ZERO,
        }
    }

    /// The notice to send at `now`, if one is due; the sender must report how it ended.
    pub fn next(&mut self, active: &[Alert], now: Duration) -> Option<Notice> {
        match &self.attempt {
            Attempt::OnItsWay(_) => return None,
            Attempt::Failed { again_at, .. } if now < *again_at => return None,
            Attempt::Failed { .. } | Attempt::None => {}
        }
        let firing: Vec<Alert> = active.iter().filter(|alert| alert.severity >= self.least).cloned().collect();
        let is_over = |told: &&Told| !firing.iter().any(|alert| alert.kind == told.alert.kind);
        let resolved: Vec<Alert> = self.told.iter().filter(is_over).map(|told| told.alert.clone()).collect();
        let is_news = |alert: &Alert| !self.told.iter().any(|told| told.arrived && same(&told.alert, alert));
        let is_due = self.repeat.is_some_and(|repeat| !firing.is_empty() && now >= self.arrived_at + repeat);
        if resolved.is_empty() && !firing.iter().any(is_news) && !is_due {
            (self.attempt, self.failures) = (Attempt::None, 0);
            return None;
        }
        let number = match &self.attempt {
            Attempt::Failed { notice, .. } if notice.tells(&firing, &resolved) => notice.number,
            _ => self.number + 1,
        };
        self.number = self.number.max(number);
        for alert in &firing {
            self.told.retain(|told| told.alert.kind != alert.kind || (told.arrived && same(&told.alert, alert)));
            if !self.told.iter().any(|told| told.alert.kind == alert.kind) {
                self.told.push(Told { alert: alert.clone(), arrived: false });
            }
        }
        let notice = Notice { number, firing, resolved };
        self.attempt = Attempt::OnItsWay(notice.clone());
        Some(notice)
    }

    /// The notice has arrived.
    pub fn arrived(&mut self, now: Duration) {
        if let Attempt::OnItsWay(notice) = std::mem::replace(&mut self.attempt, Attempt::None) {
            self.told.retain(|told| !notice.resolved.iter().any(|over| over.kind == told.alert.kind));
            for told in &mut self.told {
                told.arrived |= notice.firing.iter().any(|alert| same(alert, &told.alert));
            }
            (self.arrived_at, self.failures) = (now, 0);
        }
    }

    /// The notice has failed, or may have; `random`, 0 to 1, spreads the next attempt.
    pub fn failed(&mut self, now: Duration, random: f64) {
        if let Attempt::OnItsWay(notice) = std::mem::replace(&mut self.attempt, Attempt::None) {
            let pause = SHORTEST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
            self.failures = self.failures.saturating_add(1);
            let again_at = now + pause.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0);
            self.attempt = Attempt::Failed { notice, again_at };
        }
    }
}

impl Notice {
    fn tells(&self, firing: &[Alert], resolved: &[Alert]) -> bool {
        let all = |ours: &[Alert], others: &[Alert]| {
            ours.len() == others.len() && ours.iter().zip(others).all(|(one, other)| same(one, other))
        };
        all(&self.firing, firing) && all(&self.resolved, resolved)
    }
}

/// A changed figure in the message is no news.
fn same(one: &Alert, other: &Alert) -> bool {
    one.kind == other.kind && one.severity == other.severity && one.since == other.since
}

#[cfg(test)]
mod tests {
    use poolgate_types::AlertKind::{self, DatabaseSilent, GateFull, PoolUsage};

    use super::*;

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn alert(kind: AlertKind, severity: Severity) -> Alert {
        Alert { kind, severity, message: String::new(), since: "2026-01-01T00:00:00Z".to_owned() }
    }

    fn kinds(alerts: &[Alert]) -> Vec<AlertKind> {
        alerts.iter().map(|alert| alert.kind).collect()
    }

    #[test]
    fn an_alert_is_told_once_and_then_that_it_is_over() {
        let mut notices = Notices::new(Severity::Warning, None);
        let active = [alert(DatabaseSilent, Severity::Critical), alert(PoolUsage, Severity::Info)];
        let notice = notices.next(&active, second(0)).expect("news");
        assert_eq!((kinds(&notice.firing), notice.resolved.len()), (vec![DatabaseSilent], 0), "an info is not wanted");
        assert_eq!(notices.next(&[], second(1)), None, "one is on its way");
        notices.arrived(second(1));
        for now in 2..100 {
            assert_eq!(notices.next(&active, second(now)), None, "told already");
        }
        let notice = notices.next(&[], second(100)).expect("news");
        assert_eq!((notice.firing.len(), kinds(&notice.resolved)), (0, vec![DatabaseSilent]));
        notices.arrived(second(101));
        assert_eq!(notices.next(&[], second(200)), None);
    }

    #[test]
    fn a_changed_severity_is_news_and_a_changed_figure_is_not() {
        let mut notices = Notices::new(Severity::Warning, None);
        notices.next(&[alert(PoolUsage, Severity::Warning)], second(0)).unwrap();
        notices.arrived(second(0));
        let message = "81 %".to_owned();
        assert_eq!(notices.next(&[Alert { message, ..alert(PoolUsage, Severity::Warning) }], second(1)), None);
        let notice = notices.next(&[alert(PoolUsage, Severity::Critical)], second(2)).expect("news");
        assert_eq!((notice.firing[0].severity, notice.resolved.len()), (Severity::Critical, 0));
    }

    #[test]
    fn attempts_are_further_and_further_apart() {
        let mut notices = Notices::new(Severity::Info, None);
        let active = [alert(GateFull, Severity::Warning)];
        let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
        let mut tried = now;
        while pauses.len() < 9 {
            if let Some(notice) = notices.next(&active, now) {
                assert_eq!(notice.number, 1, "the same notice");
                pauses.push((now - tried).as_secs());
                tried = now;
                notices.failed(now, 0.0);
            }
            now += Duration::from_millis(250);
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(notices.next(&active, tried + second(59)).is_none());
        // Half of it at the least.
        notices.next(&active, tried + second(60)).unwrap();
        notices.failed(tried + second(60), 1.0);
        assert!(notices.next(&active, tried + second(89)).is_none());
        assert!(notices.next(&active, tried + second(90)).is_some());
    }

    #[test]
    fn what_may_have_arrived_is_resolved_and_what_was_never_sent_is_not() {
        let mut notices = Notices::new(Severity::Info, None);
        let first = notices.next(&[alert(GateFull, Severity::Warning)], second(0)).unwrap();
        notices.failed(second(10), 0.0);
        // Another comes and goes during the pause.
        assert_eq!(notices.next(&[alert(PoolUsage, Severity::Warning)], second(10)), None);
        let notice = notices.next(&[], second(11)).expect("the answer may have been lost");
        assert_eq!((kinds(&notice.resolved), notice.firing.len()), (vec![GateFull], 0));
        assert_ne!(notice.number, first.number);
        for attempt in 0..20 {
            notices.failed(second(100 * attempt), 0.0);
            assert!(notices.next(&[], second(100 * attempt + 60)).is_some(), "it goes on until it arrives");
        }
        notices.arrived(second(3000));
        assert_eq!(notices.next(&[], second(4000)), None);
    }

    #[test]
    fn an_alert_that_returns_before_its_end_was_told_is_told_anew() {
        let mut notices = Notices::new(Severity::Info, None);
        notices.next(&[alert(GateFull, Severity::Warning)], second(0)).unwrap();
        notices.arrived(second(0));
        notices.next(&[], second(5)).unwrap();
        notices.failed(second(5), 0.0);
        let again = Alert { since: "2026-01-01T00:01:00Z".to_owned(), ..alert(GateFull, Severity::Warning) };
        let notice = notices.next(&[again], second(6)).expect("another one");
        assert_eq!((kinds(&notice.firing), notice.resolved.len()), (vec![GateFull], 0));
    }

    #[test]
    fn a_receiver_that_forgets_is_reminded() {
        let mut notices = Notices::new(Severity::Info, Some(second(60)));
        let active = [alert(GateFull, Severity::Warning)];
        notices.next(&active, second(100)).unwrap();
        notices.arrived(second(101));
        assert_eq!(notices.next(&active, second(160)), None);
        assert!(notices.next(&active, second(161)).is_some());
        notices.arrived(second(162));
        assert!(notices.next(&[], second(163)).is_some());
        notices.arrived(second(164));
        assert_eq!(notices.next(&[], second(1_000)), None);
    }
}
