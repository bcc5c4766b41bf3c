//! The valid range of every setting.

use std::{fmt, net::IpAddr, ops::RangeInclusive, time::Duration};

use poolgate_control::{InvalidSettings, Thresholds};
use poolgate_pool::PoolConfig;
use poolgate_types::Backend;

use super::{ClusterStore, Settings, UpstreamUrl, WatchTarget, mask, origin};

/// An invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidValue {
    /// The key as in the file: `pool.size`.
    pub key: &'static str,
    /// What is wrong, and what is valid.
    pub problem: String,
}

impl Settings {
    /// Checks every value against its range and against related settings.
    ///
    /// # Errors
    ///
    /// The first [`InvalidValue`].
    pub fn check(&self) -> Result<(), InvalidValue> {
        self.check_server()?;
        self.check_database()?;
        self.check_pool()?;
        self.check_watch()?;
        self.check_upstream()?;
        self.check_haproxy_agent()?;
        self.alerts.check()?;
        self.otlp.check()?;
        let Self { gate, monitor, control, events, cleanup, .. } = self;
        number("gate.max_concurrent_requests", gate.max_concurrent_requests, 1..=10_000)?;
        time("gate.timeout", gate.timeout, Duration::ZERO..=MINUTE)?;
        number("gate.max_queue", gate.max_queue, 0..=100_000)?;
        number("gate.max_clients_per_address", gate.max_clients_per_address, 1..=1_000_000)?;
        time("monitor.interval", monitor.interval, SECOND..=HOUR)?;
        time("monitor.unready_after", monitor.unready_after, Duration::ZERO..=HOUR)?;
        time("control.tick", control.tick, Duration::from_millis(10)..=SECOND)?;
        number("events.max_streams", events.max_streams, 1..=1_000_000)?;
        number("events.max_streams_per_address", events.max_streams_per_address, 1..=1_000_000)?;
        time("cleanup.cooldown", cleanup.cooldown, SECOND..=HOUR)?;
        time("cleanup.manual_cooldown", cleanup.manual_cooldown, SECOND..=HOUR)?;
        time("cleanup.leak_threshold", cleanup.leak_threshold, SECOND..=24 * HOUR)?;
        self.check_sizing()?;
        self.check_cluster()?;
        time("cleanup.revoke_after", cleanup.revoke_after, SECOND..=24 * HOUR)?;
        time("cleanup.cancel_after", cleanup.cancel_after, SECOND..=24 * HOUR)?;
        time("cleanup.terminate_after", cleanup.terminate_after, SECOND..=24 * HOUR)?;
        self.check_thresholds()
    }

    fn check_server(&self) -> Result<(), InvalidValue> {
        let server = &self.server;
        number("server.max_connections", server.max_connections, 1..=1_000_000)?;
        number("server.max_connections_per_address", server.max_connections_per_address, 1..=1_000_000)?;
        number("server.max_body_bytes", server.max_body_bytes, 0..=64 << 20)?;
        number("server.max_header_bytes", server.max_header_bytes, 1 << 10..=256 << 10)?;
        time("server.header_timeout", server.header_timeout, SECOND..=HOUR)?;
        time("server.body_timeout", server.body_timeout, SECOND..=HOUR)?;
        time("server.request_timeout", server.request_timeout, SECOND..=HOUR)?;
        time("server.write_timeout", server.write_timeout, SECOND..=HOUR)?;
        time("server.keep_alive_timeout", server.keep_alive_timeout, SECOND..=HOUR)?;
        time("server.drain_delay", server.drain_delay, Duration::ZERO..=10 * MINUTE)?;
        time("server.drain_timeout", server.drain_timeout, Duration::ZERO..=HOUR)?;
        self.check_other_sites()?;
        match &server.admin_token {
            Some(token) if !is_sendable(token.expose()) => Err(InvalidValue {
                key: "server.admin_token",
                problem:
                    "must have at least 16 characters that are valid in a header: visible ASCII, and spaces only inside"
                        .to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_other_sites(&self) -> Result<(), InvalidValue> {
        for (index, origin) in self.server.allowed_origins.iter().enumerate() {
            if let Some(problem) = origin::problem(origin) {
                return Err(InvalidValue { key: "server.allowed_origins", problem: in_list(index, origin, problem) });
            }
        }
        for (index, name) in self.server.allowed_headers.iter().enumerate() {
            if name != "*" && name.parse::<http::HeaderName>().is_err() {
                let problem = in_list(index, name, "neither a header name, such as traceparent, nor `*` for all");
                return Err(InvalidValue { key: "server.allowed_headers", problem });
            }
        }
        Ok(())
    }

    fn check_database(&self) -> Result<(), InvalidValue> {
        let database = &self.database;
        let name = &database.application_name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
            let given = mask::word(name).unwrap_or_else(|| "the value".to_owned());
            let problem = format!("{given} must have 1 to 40 letters, digits, `-`, `_` and `.`");
            return Err(InvalidValue { key: "database.application_name", problem });
        }
        time("database.statement_timeout", database.statement_timeout, Duration::ZERO..=24 * HOUR)?;
        time("database.lock_timeout", database.lock_timeout, Duration::ZERO..=24 * HOUR)?;
        time("database.idle_in_transaction_timeout", database.idle_in_transaction_timeout, Duration::ZERO..=24 * HOUR)?;
        time("database.client_check_interval", database.client_check_interval, Duration::ZERO..=HOUR)
    }

    fn check_pool(&self) -> Result<(), InvalidValue> {
        let pool = &self.pool;
        number("pool.size", pool.size, 1..=MOST_CONNECTIONS)?;
        number("pool.max_overflow", pool.max_overflow, 0..=MOST_CONNECTIONS - pool.size)?;
        number("pool.min_idle", pool.min_idle.unwrap_or(0), 0..=pool.size)?;
        number("pool.max_connecting", pool.max_connecting, 1..=100)?;
        number("pool.connect_rate", pool.connect_rate, 1..=10_000)?;
        time("pool.timeout", pool.timeout, Duration::from_millis(1)..=HOUR)?;
        time("pool.connect_timeout", pool.connect_timeout, Duration::from_millis(1)..=MINUTE)?;
        time("pool.pre_ping_idle", pool.pre_ping_idle, Duration::ZERO..=HOUR)?;
        match pool.max_lifetime {
            Duration::ZERO => Ok(()),
            age => time("pool.max_lifetime", age, SECOND..=24 * HOUR),
        }
    }

    fn check_sizing(&self) -> Result<(), InvalidValue> {
        let sizing = &self.sizing;
        let possible = match sizing.predictive {
            true => self.pool.size..=MOST_CONNECTIONS - self.pool.max_overflow,
            false => 1..=MOST_CONNECTIONS,
        };
        number("sizing.ceiling", sizing.ceiling, possible)?;
        number("sizing.replicas", sizing.replicas, 1..=10_000)?;
        time("sizing.horizon", sizing.horizon, SECOND..=5 * MINUTE)
    }

    fn check_cluster(&self) -> Result<(), InvalidValue> {
        let Self { cluster, database, sizing, .. } = self;
        number("cluster.max_replicas", cluster.max_replicas, 1..=64)?;
        number("cluster.connections", cluster.connections, 0..=100_000)?;
        if !cluster.is_on() {
            return Ok(());
        }
        let is_postgres = database.url.as_ref().is_some_and(|url| url.backend() == Backend::Postgres);
        let watches = self.watch.url.is_some();
        let problem = if self.upstream.url.is_some() {
            ("cluster.store", "does not work with upstream.url, which has no pool to share".to_owned())
        } else if watches && (is_postgres || cluster.store != ClusterStore::Postgres) {
            // No connections are shared, only what is known of the clients.
            return Ok(());
        } else if watches {
            let advice = "`postgres` keeps its table in a database of PostgreSQL: set database.url, or use nats://…";
            ("cluster.store", advice.to_owned())
        } else if !is_postgres {
            ("cluster.store", "needs a pool of PostgreSQL connections: set database.url".to_owned())
        } else if database.pgbouncer {
            let advice = "does not work with database.pgbouncer: the pooler's max_db_connections is the limit for all";
            ("cluster.store", advice.to_owned())
        } else if sizing.predictive {
            ("sizing.predictive", "does not work with cluster.store yet: turn one of them off".to_owned())
        } else if cluster.pooled_connections() < cluster.max_replicas {
            let least = 5 * cluster.max_replicas;
            let advice = format!(
                "must be at least {least}, five for each of cluster.max_replicas: set it to the connections that all \
                 replicas together may have"
            );
            ("cluster.connections", advice)
        } else {
            return Ok(());
        };
        Err(InvalidValue { key: problem.0, problem: problem.1 })
    }

    fn check_watch(&self) -> Result<(), InvalidValue> {
        let watch = &self.watch;
        if watch.url.is_some() && self.demo.enabled {
            return Err(InvalidValue {
                key: "watch.url",
                problem: "the demo needs a pool, but a server with watch.url has none: remove one of the two settings"
                    .to_owned(),
            });
        }
        self.check_upkeep()?;
        within("watch.transactions_per_request", &watch.transactions_per_request, &(0.01..=1000.0))?;
        match watch.capacity {
            Some(capacity) => number("watch.capacity", capacity, 1..=100_000),
            None => Ok(()),
        }
    }

    /// A server without a pool of its own has nothing to keep up.
    fn check_upkeep(&self) -> Result<(), InvalidValue> {
        let Self { sizing, cleanup, watch, upstream, .. } = self;
        let has_pool = watch.url.is_none() && upstream.url.is_none();
        for (key, opted_in) in [
            ("sizing.predictive", sizing.predictive),
            ("cleanup.dispose", cleanup.dispose),
            ("cleanup.revoke", cleanup.revoke),
            ("cleanup.cancel", cleanup.cancel),
            ("cleanup.terminate", cleanup.terminate),
        ] {
            if !has_pool && opted_in {
                let problem = "needs a pool, but a server with watch.url or upstream.url has none";
                return Err(InvalidValue { key, problem: problem.to_owned() });
            }
        }
        Ok(())
    }

    fn check_upstream(&self) -> Result<(), InvalidValue> {
        let Self { upstream, gateway, server, demo, .. } = self;
        let invalid = |key, problem: &str| Err(InvalidValue { key, problem: problem.to_owned() });
        time("upstream.connect_timeout", upstream.connect_timeout, Duration::from_millis(10)..=MINUTE)?;
        time("upstream.response_timeout", upstream.response_timeout, SECOND..=HOUR)?;
        time("upstream.idle_timeout", upstream.idle_timeout, SECOND..=24 * HOUR)?;
        time("upstream.keep_alive", upstream.keep_alive, Duration::ZERO..=10 * MINUTE)?;
        number("upstream.max_streams", upstream.max_streams, 1..=1_000_000)?;
        if upstream.health_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return invalid("upstream.health_path", "must be a path such as /healthz");
        }
        let prefix = gateway.prefix.as_str();
        if prefix.len() < 3 || !prefix.starts_with('/') || !prefix.ends_with('/') {
            return invalid("gateway.prefix", "must be a path that begins and ends with a slash, such as /poolgate/");
        }
        if self.gate.bypass.iter().any(|path| !path.starts_with('/')) {
            return invalid("gate.bypass", "each entry must be the beginning of a path, such as /static/");
        }
        match &upstream.url {
            None => Ok(()),
            Some(_) if demo.enabled => {
                invalid("upstream.url", "the demo is an app itself; a gateway stands before another")
            }
            Some(UpstreamUrl::Tcp { host, port }) if *port == server.bind.port() && is_loopback(host) => {
                invalid("upstream.url", "is the address of this server itself (server.bind): name the one of the app")
            }
            Some(_) => Ok(()),
        }
    }

    fn check_haproxy_agent(&self) -> Result<(), InvalidValue> {
        let Self { haproxy_agent, watch, .. } = self;
        number("haproxy_agent.servers", haproxy_agent.servers, 1..=1000)?;
        let watches_haproxy = watch.url.as_ref().is_some_and(|url| matches!(url.parse(), Ok(WatchTarget::HaProxy(_))));
        if haproxy_agent.bind.is_some() && watches_haproxy && watch.capacity.is_none() {
            let problem = "needs watch.capacity: the capacity would be read from the limits that the agent sets";
            return Err(InvalidValue { key: "haproxy_agent.bind", problem: problem.to_owned() });
        }
        Ok(())
    }

    fn check_thresholds(&self) -> Result<(), InvalidValue> {
        let checked = Thresholds::from(&self.thresholds).check();
        checked
            .map_err(|InvalidSettings { key, expected }| InvalidValue { key, problem: format!("must be {expected}") })
    }
}

const MOST_CONNECTIONS: u32 = PoolConfig::MAX_CAPACITY;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn number(key: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<(), InvalidValue> {
    within(key, &value, &range)
}

fn time(key: &'static str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), InvalidValue> {
    within(key, &value, &range)
}

fn within<T: PartialOrd + fmt::Debug>(
    key: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), InvalidValue> {
    if range.contains(value) {
        return Ok(());
    }
    Err(InvalidValue { key, problem: format!("{value:?} must be from {:?} to {:?}", range.start(), range.end()) })
}

/// The invalid entry of a list, and what is wrong with it. Only plain words are repeated: the entry may be a URL with a
/// password.
fn in_list(index: usize, entry: &str, problem: &str) -> String {
    format!("{}: {problem}", mask::word(entry).unwrap_or_else(|| format!("entry {}", index + 1)))
}

fn is_sendable(token: &str) -> bool {
    token.len() >= 16 && token.trim() == token && token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{DatabaseUrl, NatsUrl, Secret, WatchUrl};

    fn key_of(change: impl FnOnce(&mut Settings)) -> &'static str {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("an invalid value").key
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn an_invalid_value_names_its_key() {
        assert_eq!(key_of(|s| s.pool.size = 0), "pool.size");
        assert_eq!(key_of(|s| s.pool.max_lifetime = Duration::from_millis(1)), "pool.max_lifetime");
        assert_eq!(key_of(|s| s.database.application_name = "my app".to_owned()), "database.application_name");
        assert_eq!(key_of(|s| s.database.lock_timeout = 25 * HOUR), "database.lock_timeout");
        assert_eq!(key_of(|s| s.cleanup.revoke_after = Duration::ZERO), "cleanup.revoke_after");
        assert_eq!(key_of(|s| s.gate.max_concurrent_requests = 0), "gate.max_concurrent_requests");
        assert_eq!(key_of(|s| s.control.tick = Duration::ZERO), "control.tick");
        assert_eq!(key_of(|s| s.watch.capacity = Some(0)), "watch.capacity");
        assert_eq!(key_of(|s| s.watch.transactions_per_request = f64::NAN), "watch.transactions_per_request");
        let watching_demo = |s: &mut Settings| {
            s.watch.url = WatchUrl::new("pgbouncer://pooler/shop").ok();
            s.demo.enabled = true;
        };
        assert_eq!(key_of(watching_demo), "watch.url");
        let watching = |s: &mut Settings| s.watch.url = WatchUrl::new("pgbouncer://pooler/shop").ok();
        let key_of_watching = |opt_in: fn(&mut Settings)| {
            key_of(|s| {
                watching(s);
                opt_in(s);
            })
        };
        assert_eq!(key_of_watching(|s| s.sizing.predictive = true), "sizing.predictive");
        assert_eq!(key_of_watching(|s| s.cleanup.dispose = true), "cleanup.dispose");
        assert_eq!(key_of_watching(|s| s.cleanup.revoke = true), "cleanup.revoke");
        assert_eq!(key_of_watching(|s| s.cleanup.cancel = true), "cleanup.cancel");
        assert_eq!(key_of_watching(|s| s.cleanup.terminate = true), "cleanup.terminate");
        let circular = |s: &mut Settings| {
            s.watch.url = WatchUrl::new("haproxy:///admin.sock?backend=shop").ok();
            s.haproxy_agent.bind = Some(s.server.bind);
        };
        assert_eq!(key_of(circular), "haproxy_agent.bind");
        assert_eq!(key_of(|s| s.haproxy_agent.servers = 0), "haproxy_agent.servers");
        assert_eq!(key_of(|s| s.pool.min_idle = Some(21)), "pool.min_idle", "more than the size");
        assert_eq!(key_of(|s| s.pool.max_overflow = 9_999), "pool.max_overflow", "with the size more than 10,000");
        let too_far = |s: &mut Settings| {
            (s.sizing.predictive, s.sizing.ceiling, s.pool.max_overflow) = (true, 9_990, 11);
        };
        assert_eq!(key_of(too_far), "sizing.ceiling");

        let shared = |s: &mut Settings, url: &str| {
            s.database.url = DatabaseUrl::new(url).ok();
            (s.cluster.store, s.cluster.connections) = (ClusterStore::Postgres, 40);
        };
        assert_eq!(key_of(|s| shared(s, "sqlite://shop.db")), "cluster.store");
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            shared(&mut settings, "postgres://app@db/shop");
            change(&mut settings);
            settings.check().err().map(|error| error.key)
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|s| s.watch.url = WatchUrl::new("pgbouncer://pooler/shop").ok()), None);
        let shared_by_watchers = |s: &mut Settings, store| {
            s.watch.url = WatchUrl::new("pgbouncer://pooler/shop").ok();
            s.cluster.store = store;
        };
        assert_eq!(key_of(|s| shared_by_watchers(s, ClusterStore::Postgres)), "cluster.store");
        let nats = ClusterStore::Nats(NatsUrl::new("nats://one").expect("a URL"));
        let mut settings = Settings::default();
        shared_by_watchers(&mut settings, nats);
        assert_eq!(settings.check(), Ok(()));
        settings.upstream.url = UpstreamUrl::new("http://app:8001").ok();
        assert_eq!(settings.check().map_err(|error| error.key), Err("cluster.store"));
        assert_eq!(with(|s| s.cluster.connections = 39), Some("cluster.connections"));
        assert_eq!(with(|s| s.cluster.max_replicas = 0), Some("cluster.max_replicas"));
        assert_eq!(with(|s| s.database.pgbouncer = true), Some("cluster.store"));
        assert_eq!(with(|s| s.sizing.predictive = true), Some("sizing.predictive"));
        let behind = |s: &mut Settings, url| s.upstream.url = UpstreamUrl::new(url).ok();
        assert_eq!(key_of(|s| behind(s, "http://localhost:8000")), "upstream.url", "itself");
        let demo_behind = |s: &mut Settings| {
            behind(s, "http://app:8001");
            s.demo.enabled = true;
        };
        assert_eq!(key_of(demo_behind), "upstream.url");
        let upkeep_behind = |s: &mut Settings| {
            behind(s, "http://app:8001");
            s.cleanup.revoke = true;
        };
        assert_eq!(key_of(upkeep_behind), "cleanup.revoke");
        assert_eq!(key_of(|s| s.upstream.health_path = Some("healthz".to_owned())), "upstream.health_path");
        assert_eq!(key_of(|s| s.gateway.prefix = "/".to_owned()), "gateway.prefix");
        assert_eq!(key_of(|s| s.gate.bypass = vec!["static".to_owned()]), "gate.bypass");
        assert_eq!(key_of(|s| s.thresholds.warning = 60.0), "thresholds.warning");
        assert_eq!(key_of(|s| s.thresholds.critical = f64::NAN), "thresholds.critical");
        assert_eq!(key_of(|s| s.server.admin_token = Some(Secret::new("short"))), "server.admin_token");
        for token in [
            "                    ",
            " correct horse battery",
            "correct horse\nbattery",
            "schl\u{fc}ssel-schl\u{fc}ssel",
        ] {
            assert_eq!(key_of(|s| s.server.admin_token = Some(Secret::new(token))), "server.admin_token", "{token}");
        }
        assert_eq!(key_of(|s| s.server.allowed_headers = vec!["x y".to_owned()]), "server.allowed_headers");
        for origin in ["*", "app.example", "https://app.example/path", "https://app.example/", "null"] {
            let key = key_of(|s| s.server.allowed_origins = vec![origin.to_owned()]);
            assert_eq!(key, "server.allowed_origins", "{origin}");
        }
    }
}
