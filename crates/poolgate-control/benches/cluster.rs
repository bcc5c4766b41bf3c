//! What an exchange costs a replica in processor time: `cargo xtask bench cluster`.

use std::time::{Duration, Instant};

use poolgate_control::cluster::{Census, MemoryStore, Replica, ReplicaId, Settings, State};

/// Time between two exchanges of a busy replica.
const PERIOD: Duration = Duration::from_millis(250);
const EXCHANGES: u32 = 400;

fn main() {
    println!("| replicas | an exchange, us |");
    println!("| ---: | ---: |");
    for count in [3_u32, 10, 64] {
        let settings = Settings { budget: 20 * count, max_replicas: count, ttl: Duration::from_secs(10) };
        let mut replicas: Vec<Replica> =
            (1..=count).map(|id| Replica::new(ReplicaId(id), settings, Duration::ZERO)).collect();
        let (mut store, mut spent) = (MemoryStore::default(), Duration::ZERO);
        for step in 0..EXCHANGES {
            let now = PERIOD * step;
            let census: Census = replicas.iter().map(|replica| (replica.id(), replica.limit(now))).collect();
            for replica in &mut replicas {
                let began = timestamp();
                let limit = replica.limit(now);
                replica.connections(State::Serving, limit, 1000);
                let write = replica.begin(now);
                let writing = began.elapsed();
                let seen = store.exchange(write);
                let began = timestamp();
                replica.end(Some(seen), now);
                replica.look(census.clone(), now, now);
                spent += writing + began.elapsed();
            }
        }
        let granted: u32 = replicas.iter().map(|replica| replica.limit(PERIOD * EXCHANGES)).sum();
        assert_eq!(granted, settings.budget, "the replicas have divided the budget");
        println!("| {count} | {:.1} |", spent.as_secs_f64() * 1e6 / f64::from(EXCHANGES * count));
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn timestamp() -> Instant {
    Instant::now()
}
