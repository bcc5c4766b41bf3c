//! Settings of Poolgate's law by name: `adaptive.overcommit=1.1`.

use std::time::Duration;

use anyhow::{Context, Result};
use poolgate_control::Settings;

type Put = fn(&mut Settings, f64, Duration);

/// The settings and how to set them; times are in seconds.
const KEYS: &[(&str, Put)] = &[
    ("adaptive.overcommit", |settings, value, _| settings.adaptive.overcommit = value),
    ("adaptive.arrival_gain", |settings, value, _| settings.adaptive.arrival_gain = value),
    ("adaptive.queue_gain", |settings, value, _| settings.adaptive.queue_gain = value),
    ("adaptive.loop_delay", |settings, _, time| settings.adaptive.loop_delay = time),
    ("adaptive.release_after", |settings, _, time| settings.adaptive.release_after = time),
    ("breaker.open_after", |settings, _, time| settings.breaker.open_after = time),
    ("breaker.open_for", |settings, _, time| settings.breaker.open_for = time),
    ("thresholds.info", |settings, value, _| settings.thresholds.info_percent = value),
    ("thresholds.warning", |settings, value, _| settings.thresholds.warning_percent = value),
    ("thresholds.critical", |settings, value, _| settings.thresholds.critical_percent = value),
];

/// The names of the settings.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key)
}

/// The default settings with these changes. `adaptive.` may be left out.
pub(crate) fn settings(changes: &[String]) -> Result<Settings> {
    let mut settings = Settings::default();
    for change in changes {
        put(&mut settings, change).with_context(|| format!("--set {change}"))?;
    }
    settings.check().context("--set")?;
    Ok(settings)
}

fn put(settings: &mut Settings, change: &str) -> Result<()> {
    let (key, value) = change.split_once('=').context("must be KEY=VALUE, such as adaptive.overcommit=1.1")?;
    let is_meant = |known: &str| known == key || known.strip_prefix("adaptive.") == Some(key);
    let (_, put) = KEYS.iter().find(|(known, _)| is_meant(known)).with_context(|| {
        let keys: Vec<_> = keys().collect();
        format!("no such setting; there are {}", keys.join(", "))
    })?;
    let value: f64 = value.parse().context("the value must be a number; times are in seconds")?;
    // A number that is no duration becomes one that no range allows.
    put(settings, value, Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_set_by_name() {
        let changes = ["overcommit=1.25", "adaptive.release_after=1.5", "breaker.open_for=2"].map(str::to_owned);
        let settings = settings(&changes).expect("they are valid");
        assert_eq!(settings.adaptive.overcommit, 1.25);
        assert_eq!(settings.adaptive.release_after, Duration::from_millis(1500));
        assert_eq!(settings.breaker.open_for, Duration::from_secs(2));
    }

    #[test]
    fn every_key_changes_something_of_its_own() {
        let mut changed: Vec<String> = Vec::new();
        for (key, put) in KEYS {
            let mut settings = Settings::default();
            put(&mut settings, 17.0, Duration::from_secs(17));
            changed.push(format!("{settings:?}"));
            assert_ne!(settings, Settings::default(), "{key}");
        }
        changed.sort_unstable();
        changed.dedup();
        assert_eq!(changed.len(), KEYS.len());
    }

    #[test]
    fn mistakes_say_what_is_possible() {
        for (change, expected) in [
            ("overcommit", "must be KEY=VALUE"),
            ("courage=1", "adaptive.arrival_gain"),
            ("overcommit=high", "must be a number"),
            ("overcommit=9", "from 1 to 2"),
            ("loop_delay=-1", "from 10 ms to 10 s"),
        ] {
            let error = format!("{:#}", settings(&[change.to_owned()]).expect_err(change));
            assert!(error.contains(expected), "{error}");
        }
    }
}
