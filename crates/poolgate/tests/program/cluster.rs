//! Three processes share one PostgreSQL: one leaves, one is killed, one is stopped for longer than its time to live.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use poolgate_test_postgres::Postgres;

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longer than two steps of a division lie apart.
const SETTLED: Duration = Duration::from_secs(3);
/// Connections of all replicas together: 18 for the pools, and four for each of three replicas outside its pool.
const BUDGET: u32 = 30;

/// A process of the cluster.
struct Replica(Child);

impl Replica {
    fn start(postgres: &Postgres) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_poolgate"))
            .args(["--port", "0", "--database-url", &postgres.url("postgres")])
            .env_remove("DATABASE_URL")
            .env("POOLGATE_CLUSTER__STORE", "postgres")
            .env("POOLGATE_CLUSTER__CONNECTIONS", BUDGET.to_string())
            .env("POOLGATE_CLUSTER__MAX_REPLICAS", "3")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("Poolgate listening"), "{line}");
        Self(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts the connections of the cluster as often as it can.
struct Count {
    peak: Arc<AtomicU32>,
    done: Arc<AtomicBool>,
    counting: Option<JoinHandle<()>>,
}

impl Count {
    fn start(url: &str) -> Self {
        let (peak, done) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let (highest, ended, url) = (Arc::clone(&peak), Arc::clone(&done), url.to_owned());
        let count = async move {
            let mut connection = poolgate_test_harness::sources::connect(&url).await;
            while !ended.load(Relaxed) {
                let query = "SELECT count(*)::int4 FROM pg_stat_activity WHERE application_name LIKE 'poolgate:%'";
                let open: i32 = sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a count");
                highest.fetch_max(open.unsigned_abs(), Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let counting = thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(count);
        });
        Self { peak, done, counting: Some(counting) }
    }

    fn peak(mut self) -> u32 {
        self.done.store(true, Relaxed);
        self.counting.take().expect("it counts").join().expect("counted");
        self.peak.load(Relaxed)
    }
}

/// The connections of each replica, the most first.
fn shares(postgres: &Postgres) -> Vec<u32> {
    let query = "SELECT application_name, count(*) FROM pg_stat_activity
                 WHERE application_name LIKE 'poolgate:%' GROUP BY 1";
    let rows = postgres.sql("postgres", query).expect("answered");
    let named: BTreeMap<&str, u32> = rows
        .lines()
        .filter_map(|row| row.split_once('|'))
        .map(|(name, connections)| (name, connections.parse().expect("a number")))
        .collect();
    let mut shares: Vec<u32> = named.into_values().collect();
    shares.sort_unstable_by(|one, other| other.cmp(one));
    shares
}

/// Waits until each replica has its share, and at most the four connections that it may have outside its pool, and keeps it:
/// while connections are divided anew, some are on their way. Returns the time until it had it.
fn eventually_shared(postgres: &Postgres, what: &str, pools: &[u32]) -> Duration {
    let begun = Instant::now();
    let mut since = None;
    loop {
        let seen = shares(postgres);
        let is_share = |(seen, pool): (&u32, &u32)| (pool + 1..=pool + 4).contains(seen);
        if seen.len() == pools.len() && seen.iter().zip(pools).all(is_share) {
            let since: Instant = *since.get_or_insert_with(Instant::now);
            if since.elapsed() > SETTLED {
                return since - begun;
            }
        } else {
            since = None;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {seen:?} and not {pools:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn three_processes_never_have_more_connections_than_the_budget() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let count = Count::start(&postgres.url("postgres"));
    let first = Replica::start(&postgres);
    // One connection is kept for each of the two that may still come.
    eventually_shared(&postgres, "alone", &[16]);
    let (second, third) = (Replica::start(&postgres), Replica::start(&postgres));
    let shared = eventually_shared(&postgres, "shared", &[6, 6, 6]);

    third.signal("STOP");
    let stopped = Instant::now();
    second.signal("KILL");
    // The stopped one keeps what it has: it may go on at any moment.
    let taken_over = eventually_shared(&postgres, "taken over", &[11, 6]);
    thread::sleep(Duration::from_secs(15).saturating_sub(stopped.elapsed()));
    third.signal("CONT");
    eventually_shared(&postgres, "shared by two", &[9, 8]);

    first.signal("TERM");
    let left = eventually_shared(&postgres, "given back", &[16]);
    // A silent replica would be waited for longer.
    assert!(left < Duration::from_secs(12), "a share is given back at once: {left:?}");

    let peak = count.peak();
    assert!(peak <= BUDGET, "{peak} connections");
    println!("peak {peak} of {BUDGET}; shared after {shared:?}, taken over after {taken_over:?}, left after {left:?}");
}
