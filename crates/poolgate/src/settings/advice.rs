//! Warnings about settings that are valid alone but not together.

use super::Settings;

impl Settings {
    /// Warnings about settings that are probably a mistake: sentences that begin with the key. The server starts and
    /// logs them.
    pub fn advice(&self) -> Vec<String> {
        let Self { server, pool, gate, events, watch, .. } = self;
        let capacity = pool.size + pool.max_overflow;
        let has_pool = watch.url.is_none();
        let mut advice = Vec::new();
        let mut advise = |applies: bool, text: String| advice.extend(applies.then_some(text));
        advise(
            has_pool && server.request_timeout <= pool.timeout,
            format!(
                "server.request_timeout ({:?}) is not above pool.timeout ({:?}): requests that wait for a connection \
                 get a bare 504 instead of the pool's error: set it above pool.timeout",
                server.request_timeout, pool.timeout
            ),
        );
        advise(
            has_pool && gate.max_concurrent_requests > capacity,
            format!(
                "gate.max_concurrent_requests ({}) is above pool.size + pool.max_overflow ({capacity}): the other requests \
                 wait for a connection behind the gate, where only pool.timeout limits them",
                gate.max_concurrent_requests
            ),
        );
        advise(
            events.max_streams >= server.max_connections,
            format!(
                "events.max_streams ({}) is not below server.max_connections ({}): event streams can take every \
                 connection, and then no other request is answered, not even probes",
                events.max_streams, server.max_connections
            ),
        );
        advise(
            server.allow_credentials && server.allowed_origins.is_empty(),
            "server.allow_credentials has no effect without server.allowed_origins".to_owned(),
        );
        advice
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn contradictory_values_are_named() {
        assert!(Settings::default().advice().is_empty(), "{:?}", Settings::default().advice());
        let keys = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(settings.check(), Ok(()), "possible");
            let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
            settings.advice().into_iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(keys(|s| s.server.request_timeout = Duration::from_secs(1)), ["server.request_timeout"]);
        assert_eq!(keys(|s| s.gate.max_concurrent_requests = 10_000), ["gate.max_concurrent_requests"]);
        assert_eq!(keys(|s| s.server.max_connections = 100), ["events.max_streams"]);
        assert_eq!(keys(|s| s.server.allow_credentials = true), ["server.allow_credentials"]);
    }
}
