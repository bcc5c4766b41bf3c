//! Clients that learn of a limit at the same time do not act at the same time.

use std::time::Duration;

use poolgate_types::{Level, ThrottlingConfig};

use crate::{
    configs::{fair, fixed, news},
    world::{World, ms, secs},
};

/// Starts per 100 ms of a thousand clients over `time`. They learn of their limit together, and start to exceed it one
/// after another within `appear`.
fn bins(config: &ThrottlingConfig, appear: Duration, time: Duration) -> Vec<u32> {
    let mut bins = vec![0; (time.as_millis() / 100) as usize];
    for seed in 0..1000 {
        let mut world = World::configured(config.clone(), seed);
        world.run_for(appear * seed as u32 / 1000);
        while world.now < time {
            let _ = world.configure(news(config.clone()));
            while world.state().queued < 3 {
                assert!(world.submit().is_ok());
            }
            world.run_for(ms(500));
        }
        // The last step may end later.
        for (at, _) in world.starts.into_iter().filter(|(at, _)| *at < time) {
            bins[(at.as_millis() / 100) as usize] += 1;
        }
    }
    bins
}

#[test]
fn a_thousand_clients_at_one_rate_do_not_fire_together() {
    for (rate, time) in [(0.05, 60), (0.4, 20), (2.0, 10)] {
        let bins = bins(&fair(1, rate, 10), Duration::from_secs_f64(0.5 / rate), secs(time));
        let mean = rate * 100.0;
        let busiest = f64::from(*bins.iter().max().unwrap());
        // Five standard deviations of a Poisson process above twice the mean; the first fills may double the mean.
        assert!(busiest < 2.0 * mean + 5.0 * mean.sqrt(), "{rate}/s: {busiest} against {mean}: {bins:?}");
        let settled = &bins[bins.len() / 2..];
        let average = settled.iter().sum::<u32>() as f64 / settled.len() as f64;
        assert!((average / mean - 1.0).abs() < 0.1, "{rate}/s: {average} against {mean}");
    }
}

#[test]
fn a_thousand_clients_under_the_fixed_policy_do_not_fire_together() {
    let bins = bins(&fixed(1, Level::Aggressive), secs(1), secs(20));
    let busiest = *bins.iter().max().unwrap();
    assert!(busiest < 150, "50 on average: {bins:?}");
}
