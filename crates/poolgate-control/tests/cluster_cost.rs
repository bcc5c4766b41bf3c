//! What an exchange costs a replica in processor time: `cargo test --release -p poolgate-control --test cluster_cost --
//! --ignored --nocapture`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use poolgate_control::cluster::{Census, Exchange, Ledger, Replica, ReplicaId, Row, Seen, Settings, State};

/// Time between two exchanges of a busy replica.
const PERIOD: Duration = Duration::from_millis(250);
const EXCHANGES: u32 = 400;

#[derive(Default)]
struct Store {
    rows: BTreeMap<ReplicaId, Row>,
    ledger: Option<Ledger>,
}

impl Store {
    fn exchange(&mut self, write: Exchange) -> Seen {
        let revision = self.ledger.as_ref().map_or(0, |ledger| ledger.revision);
        let is_next = |ledger: &Ledger| write.is_first == (revision == 0) && ledger.revision > revision;
        self.ledger = write.ledger.filter(is_next).or(self.ledger.take());
        self.rows.insert(write.row.id, write.row);
        Seen { rows: self.rows.values().cloned().collect(), ledger: self.ledger.clone(), config: None }
    }
}

#[test]
#[ignore = "a measurement"]
fn an_exchange_takes_little_processor_time() {
    for count in [3_u32, 10, 64] {
        let settings = Settings { budget: 20 * count, max_replicas: count, ttl: Duration::from_secs(10) };
        let mut replicas: Vec<Replica> =
            (1..=count).map(|id| Replica::new(ReplicaId(id), settings, Duration::ZERO)).collect();
        let (mut store, mut spent) = (Store::default(), Duration::ZERO);
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
        println!("{count} replicas: {:?} for each exchange", spent / (EXCHANGES * count));
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn timestamp() -> Instant {
    Instant::now()
}
