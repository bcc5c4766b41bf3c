//! Combinations of settings that are allowed but probably a mistake.

use poolgate_server::Settings;

/// Settings that are probably a mistake, each described in a sentence that begins with its key. The program logs them and
/// starts nevertheless.
pub fn advice(settings: &Settings) -> Vec<String> {
    let Settings { server, pool, gate, events, watch, upstream, .. } = settings;
    let capacity = pool.size + pool.max_overflow;
    let has_pool = watch.url.is_none() && upstream.url.is_none();
    let mut advice = Vec::new();
    let mut advise = |applies: bool, text: String| advice.extend(applies.then_some(text));
    advise(
        has_pool && server.request_timeout <= pool.timeout,
        format!(
            "server.request_timeout ({:?}) is not longer than pool.timeout ({:?}): requests that wait for a connection \
             are answered with a bare 504 instead of the pool's error",
            server.request_timeout, pool.timeout
        ),
    );
    advise(
        has_pool && gate.max_concurrent_requests > capacity,
        format!(
            "gate.max_concurrent_requests ({}) is more than pool.size and pool.max_overflow together ({capacity}): the \
             other requests wait for a connection behind the gate, where only pool.timeout bounds them",
            gate.max_concurrent_requests
        ),
    );
    advise(
        events.max_streams >= server.max_connections,
        format!(
            "events.max_streams ({}) is not less than server.max_connections ({}): event streams can take every \
             connection, and then no other request is answered, not even a probe",
            events.max_streams, server.max_connections
        ),
    );
    advise(
        server.allow_credentials && server.allowed_origins.is_empty(),
        "server.allow_credentials has no effect without server.allowed_origins".to_owned(),
    );
    advice
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn values_that_do_not_go_together_are_named() {
        assert!(advice(&Settings::default()).is_empty(), "{:?}", advice(&Settings::default()));
        let keys = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(settings.check(), Ok(()), "possible");
            let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
            advice(&settings).into_iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(keys(|s| s.server.request_timeout = Duration::from_secs(1)), ["server.request_timeout"]);
        assert_eq!(keys(|s| s.gate.max_concurrent_requests = 10_000), ["gate.max_concurrent_requests"]);
        assert_eq!(keys(|s| s.server.max_connections = 100), ["events.max_streams"]);
        assert_eq!(keys(|s| s.server.allow_credentials = true), ["server.allow_credentials"]);
    }
}
