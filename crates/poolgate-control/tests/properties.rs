//! The config stays within its contract for any samples.

use std::time::Duration;

use poolgate_control::{
    Controller, GateSample, MOST_ROUTES, Policy, PoolSample, Probes, Reachability, Sample, Settings, SourceSample,
    WorkSample,
};
use poolgate_types::ThrottlingConfig;
use proptest::prelude::*;

fn samples() -> impl Strategy<Value = Sample> {
    let counts = prop_oneof![0..3_u64, 0..500_u64, any::<u64>().prop_map(|count| count >> 8)];
    let gauges = prop_oneof![0..40_u32, any::<u32>()];
    let reachability = prop::sample::select(vec![
        Reachability::Unknown,
        Reachability::Answering,
        Reachability::Paused,
        Reachability::Silent,
        Reachability::LoginRefused,
        Reachability::ServerFull,
    ]);
    (
        (gauges.clone(), gauges.clone(), gauges.clone(), gauges.clone(), gauges.clone(), gauges),
        (counts.clone(), counts.clone(), counts),
        (reachability.clone(), reachability, 0..50_u32, 0..50_u32, 0..10_000_u64),
    )
        .prop_map(|(gauge, count, rest)| Sample {
            pool: PoolSample {
                checked_out: gauge.0,
                capacity: gauge.1,
                waiting: gauge.2,
                open: gauge.4,
                closing: gauge.5,
            },
            gate: GateSample {
                permits: gauge.3,
                in_flight: gauge.4,
                queued: gauge.2,
                arrivals: count.0,
                rejected: count.2,
                over_quota: count.2,
                patient: count.0 % 2 == 0,
            },
            completed: count.1,
            acquire_wait_p99: Duration::from_millis(rest.4),
            reachability: rest.0,
            failed: (rest.4 % 3 > 0).then(|| Duration::from_millis(rest.4)),
            connects: rest.1,
            cause: (rest.4 % 2 == 0).then(|| rest.4.to_string().into()),
            work: WorkSample {
                written: count.0,
                read_only: count.1,
                storage_full: count.2,
                blocked: count.2,
                read_only_mode: (rest.4 % 3 > 0).then_some(rest.4 % 3 == 1),
                waiting_for_locks: gauge.2,
            },
            probes: Probes { succeeded: rest.2, failed: rest.3 },
            lag: Duration::ZERO,
            proxy_untrusted: rest.4 % 5 == 0,
            live_clients: gauge.5,
            streaming_clients: gauge.5,
            source: (count.0 % 2 == 1 && rest.4 % 2 == 0).then(|| SourceSample {
                is_fresh: rest.4 % 4 == 0,
                transactions: (rest.4 % 3 > 0).then_some(count.2),
                routes: [gauge.2; MOST_ROUTES],
            }),
        })
}

proptest! {
    #[test]
    fn a_config_is_always_within_its_contract(
        fixed: bool,
        seed: u64,
        steps in prop::collection::vec((samples(), 0..5_000_u64), 1..60),
    ) {
        let policy = if fixed { Policy::Fixed } else { Policy::Adaptive };
        let mut controller = Controller::new(Settings::with_policy(policy), 7, seed);
        let mut previous: Option<ThrottlingConfig> = None;
        for (sample, now) in steps {
            // Unordered times: the clock also goes back.
            let decision = controller.tick(&sample, Duration::from_millis(now));
            let config = decision.config;
            prop_assert!(ThrottlingConfig::CONCURRENCY.contains(config.max_concurrent_requests));
            prop_assert!(ThrottlingConfig::PER_MINUTE.contains(config.max_requests_per_minute));
            prop_assert!(ThrottlingConfig::DELAY_MS.contains(config.request_delay_ms));
            prop_assert!(config.fair_rate_per_second.is_none_or(|rate| rate.is_finite() && rate > 0.0));
            prop_assert!(config.probe_fraction.is_none_or(|share| share > 0.0 && share <= 1.0));
            prop_assert!(config.retry_after_seconds.is_none_or(|seconds| (1..=60).contains(&seconds)));
            prop_assert!((0.0..=1e12).contains(&decision.usage_percent));
            if let Some(previous) = previous {
                let same = ThrottlingConfig { version: previous.version, ..config.clone() } == previous;
                prop_assert_eq!(decision.config_changed, !same);
                prop_assert_eq!(config.version, previous.version + u64::from(!same));
            }
            previous = Some(config);
        }
    }

    #[test]
    fn half_open_always_ends(seed: u64, samples in prop::collection::vec(samples(), 20..40)) {
        let mut controller = Controller::new(Settings::default(), 7, seed);
        let mut half_open_since = None;
        for tick in 0..3_000_u64 {
            let now = Duration::from_millis(100 * tick);
            let sample = &samples[tick as usize % samples.len()];
            let config = controller.tick(sample, now).config;
            half_open_since = config.probe_fraction.map(|_| half_open_since.unwrap_or(now));
            let lasted = now - half_open_since.unwrap_or(now);
            // Ten seconds of probing and five steps of five seconds at the most.
            prop_assert!(lasted <= Duration::from_secs(36), "half-open for {lasted:?}");
        }
    }
}
