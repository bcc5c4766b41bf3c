//! Which settings can change while the server runs.

use serde_json::Value;

use super::Settings;

/// Keys that can change, and with them everything below them.
const RELOADABLE: [&str; 10] = [
    "gate.max_concurrent_requests",
    "gate.max_queue",
    "gate.timeout",
    "gate.bypass",
    "thresholds",
    "server.trusted_proxies",
    "upstream.connect_timeout",
    "upstream.response_timeout",
    "upstream.idle_timeout",
    "upstream.keep_alive",
];

impl Settings {
    /// The keys, as in the file, of the settings that differ from `in_force` and act only after a restart, in order.
    pub fn needing_restart(&self, in_force: &Self) -> Vec<String> {
        let document = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let mut changed = Vec::new();
        differences(&document(in_force), &document(self), "", &mut changed);
        let mut needing: Vec<_> = changed.into_iter().filter(|key| !is_reloadable(key)).collect();
        // Documents hide passwords and tokens.
        let Self { database, watch, server, .. } = self;
        for (key, differs) in [
            ("database.url", database.url != in_force.database.url),
            ("watch.url", watch.url != in_force.watch.url),
            ("server.admin_token", server.admin_token != in_force.server.admin_token),
        ] {
            if differs && !needing.iter().any(|known| known == key) {
                needing.push(key.to_owned());
            }
        }
        needing.sort();
        needing
    }
}

fn is_reloadable(key: &str) -> bool {
    RELOADABLE.iter().any(|known| key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn differences(before: &Value, after: &Value, key: &str, changed: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in after {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                differences(before.get(name).unwrap_or(&Value::Null), value, &key, changed);
            }
        }
        _ if before != after => changed.push(key.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::{DatabaseUrl, Policy};

    #[test]
    fn what_needs_a_restart_is_named_and_the_rest_is_not() {
        let (before, mut after) = (Settings::default(), Settings::default());
        assert!(after.needing_restart(&before).is_empty());
        after.gate.max_concurrent_requests = 7;
        after.gate.bypass = vec!["/static/".to_owned()];
        after.thresholds.warning = 75.0;
        after.upstream.response_timeout = Duration::from_secs(5);
        after.server.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        assert!(after.needing_restart(&before).is_empty(), "{:?}", after.needing_restart(&before));
        after.server.bind.set_port(1);
        after.policy = Policy::Fixed;
        after.pool.size = 3;
        assert_eq!(after.needing_restart(&before), ["policy", "pool.size", "server.bind"]);
    }

    #[test]
    fn a_changed_password_is_a_change() {
        let with = |password: &str| {
            let mut settings = Settings::default();
            let url = DatabaseUrl::new(format!("postgres://app:{password}@db/shop"));
            settings.database.url = Some(url.expect("a URL"));
            settings
        };
        assert_eq!(with("one").needing_restart(&with("two")), ["database.url"]);
        assert!(with("one").needing_restart(&with("one")).is_empty());
    }
}
