//! Recorded steps of SQLAlchemy's QueuePool, repeated with this pool: the counters must be equal after every step.
//!
//! `tests/fixtures/record-queue-pool.py` records the traces. Two of them show intended differences.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;

use poolgate_pool::Order;
use serde::Deserialize;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

#[derive(Deserialize)]
struct Recording {
    traces: Vec<Trace>,
}

#[derive(Deserialize)]
struct Trace {
    name: String,
    size: u32,
    max_overflow: u32,
    lifo: bool,
    recycle_seconds: Option<f64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(flatten)]
    action: Action,
    after: Counters,
}

/// In the order of the recording's `counters`.
#[derive(Deserialize)]
struct Counters(i64, i64, i64, i64, i64, i64);

#[derive(Deserialize, Debug)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Action {
    Checkout { lease: Option<u32>, connection: Option<u32>, result: Option<String> },
    Wait { lease: u32 },
    Return { lease: u32, served: Option<u32>, connection: Option<u32> },
    Discard { lease: u32 },
    Dispose,
    Database { away: bool },
    Sleep { seconds: f64 },
}

fn recorded(different: bool) -> Result<Vec<Trace>> {
    let recording: Recording = serde_json::from_str(include_str!("../../../../tests/fixtures/queue-pool-traces.json"))?;
    let traces = recording.traces.into_iter().filter(|trace| trace.name.starts_with("difference") == different);
    Ok(traces.collect())
}

#[tokio::test]
async fn every_counter_is_as_in_sqlalchemy() -> Result {
    let mut replays = JoinSet::new();
    for trace in recorded(false)? {
        replays.spawn(async move {
            let mut replay = Replay::new(&trace).expect("a pool");
            for (number, step) in trace.steps.iter().enumerate() {
                let at = format!("{:?}, step {number}: {:?}", trace.name, step.action);
                replay.act(&step.action, &at).await;
                replay.compare(&step.after, &at).await;
            }
            trace.steps.len()
        });
    }
    assert!(replays.len() >= 30, "{} traces", replays.len());
    let steps: usize = replays.join_all().await.into_iter().sum();
    assert!(steps > 1000, "{steps} steps");
    Ok(())
}

/// SQLAlchemy forgets connections in use and opens as many new ones in addition. Here they count until they are closed, so
/// the server never sees more than the capacity.
#[tokio::test]
async fn different_a_dispose_does_not_forget_what_is_in_use() -> Result {
    let traces = recorded(true)?;
    let trace = traces.iter().find(|trace| trace.name.contains("dispose")).ok_or("no such trace")?;
    let most = trace.steps.iter().map(|step| step.after.3).max();
    assert_eq!(most, Some(4), "SQLAlchemy has 4 connections open with a capacity of 2");

    let mut replay = Replay::new(trace)?;
    for step in &trace.steps[..3] {
        replay.act(&step.action, "before the difference").await;
    }
    assert_eq!(figures(replay.pool.counts()), [2, 0, 0, 0, 0]);
    let waiter = replay.waiter().await;
    drop(replay.leases.remove(&0));
    let fresh = waiter.await??;
    assert_eq!(replay.connection_of(&fresh).0, 1, "a connection of the new generation");
    assert_eq!(figures(replay.pool.counts()), [2, 0, 0, 0, 0]);
    Ok(())
}

/// SQLAlchemy keeps the record of a discarded connection in its queue, and may hand it out (and reconnect) while an open
/// connection is idle. Here the slot is free at once and the open connection is used.
#[tokio::test]
async fn different_a_discarded_connection_leaves_nothing_behind() -> Result {
    let traces = recorded(true)?;
    let trace = traces.iter().find(|trace| trace.name.contains("discarded")).ok_or("no such trace")?;
    let last = trace.steps.last().ok_or("no steps")?;
    assert!(matches!(last.action, Action::Checkout { connection: Some(2), .. }), "SQLAlchemy opens a third");

    let mut replay = Replay::new(trace)?;
    for step in &trace.steps[..4] {
        replay.act(&step.action, "before the difference").await;
    }
    settled(&replay.pool, [0, 1, 0, 0, 0]).await;
    replay.act(&Action::Checkout { lease: Some(2), connection: Some(0), result: None }, "the idle one").await;
    Ok(())
}

type Waiter = JoinHandle<std::result::Result<Lease<Sqlite>, AcquireError>>;

struct Replay {
    pool: Pool<Sqlite>,
    size: i64,
    away: Arc<AtomicBool>,
    leases: BTreeMap<u32, Lease<Sqlite>>,
    waiting: VecDeque<(u32, Waiter)>,
    /// SQLAlchemy's number of each connection, and ours.
    connections: BTreeMap<u32, u64>,
    _database: Database,
}

impl Replay {
    fn new(trace: &Trace) -> Result<Self> {
        let times_out =
            |step: &Step| matches!(&step.action, Action::Checkout { result: Some(r), .. } if r == "timeout");
        let seconds = if trace.steps.iter().any(times_out) { 2 } else { 60 };
        let limits = PoolConfig {
            acquire_timeout: Duration::from_secs(seconds),
            max_lifetime: trace.recycle_seconds.map(Duration::from_secs_f64),
            order: if trace.lifo { Order::Lifo } else { Order::Fifo },
            ..config(trace.size, trace.max_overflow)
        };
        let database = Database::new()?;
        let away = Arc::new(AtomicBool::new(false));
        let builder = database.builder(limits).after_connect({
            let away = Arc::clone(&away);
            move |_| {
                let away = away.load(Relaxed);
                Box::pin(async move { if away { Err(sqlx::Error::WorkerCrashed) } else { Ok(()) } })
            }
        });
        let pool = builder.build()?;
        let (leases, waiting, connections) = Default::default();
        Ok(Self { pool, size: trace.size.into(), away, leases, waiting, connections, _database: database })
    }

    async fn act(&mut self, action: &Action, at: &str) {
        match action {
            Action::Checkout { lease: Some(lease), connection: Some(connection), .. } => {
                let taken = self.pool.acquire().await.expect(at);
                self.got(*lease, taken, *connection, at);
            }
            Action::Checkout { result, .. } => {
                let error = self.pool.acquire().await.expect_err(at);
                match result.as_deref() {
                    Some("timeout") => assert!(matches!(error, AcquireError::Timeout(_)), "{at}: {error}"),
                    _ => assert!(matches!(error, AcquireError::Connect(_)), "{at}: {error}"),
                }
            }
            Action::Wait { lease } => {
                let waiter = self.waiter().await;
                self.waiting.push_back((*lease, waiter));
            }
            Action::Return { lease, served, connection } => {
                drop(self.leases.remove(lease).expect(at));
                if let (Some(served), Some(connection)) = (served, connection) {
                    let (first, waiter) = self.waiting.pop_front().expect(at);
                    assert_eq!(first, *served, "{at}");
                    let taken = waiter.await.expect(at).expect(at);
                    self.got(first, taken, *connection, at);
                }
            }
            Action::Discard { lease } => self.leases.remove(lease).expect(at).discard(),
            Action::Dispose => drop(self.pool.dispose()),
            Action::Database { away } => self.away.store(*away, Relaxed),
            Action::Sleep { seconds } => sleep(Duration::from_secs_f64(*seconds)).await,
        }
    }

    async fn compare(&self, after: &Counters, at: &str) {
        let Counters(checked_in, checked_out, overflow, open, empty, former) = *after;
        assert_eq!(former, 0, "{at}: a difference");
        let deadline = Instant::now() + 30_000 * MS;
        loop {
            let counts = self.pool.counts();
            let waiting = self.waiting.len();
            if (counts.connecting, counts.closing, counts.waiting as usize) == (0, 0, waiting) {
                break;
            }
            assert!(Instant::now() < deadline, "{at}: does not settle: {counts:?}");
            sleep(MS).await;
        }
        let counts = self.pool.counts();
        let ours = [counts.idle, counts.checked_out, counts.open()].map(i64::from);
        assert_eq!(ours, [checked_in - empty, checked_out, open], "{at}");
        // SQLAlchemy counts from -size up.
        assert_eq!(ours[2] - self.size, overflow - empty, "{at}");
        assert_eq!(i64::from(counts.overflow()), (overflow - empty).max(0), "{at}");
    }

    /// A caller that waits, after the pool has counted it.
    async fn waiter(&self) -> Waiter {
        let before = self.pool.counts().waiting;
        let waiter = tokio::spawn(self.pool.acquire());
        while self.pool.counts().waiting == before {
            sleep(MS).await;
        }
        waiter
    }

    fn got(&mut self, lease: u32, taken: Lease<Sqlite>, connection: u32, at: &str) {
        let (_, ours) = self.connection_of(&taken);
        let known = *self.connections.entry(connection).or_insert(ours);
        assert_eq!(known, ours, "{at}: another connection");
        let others = self.connections.iter().filter(|(_, number)| **number == ours).count();
        assert_eq!(others, 1, "{at}: a connection that should be a new one");
        self.leases.insert(lease, taken);
    }

    fn connection_of(&self, lease: &Lease<Sqlite>) -> (u64, u64) {
        let leases = self.pool.leases();
        let info = leases.iter().find(|info| info.id == lease.id()).expect("it is listed");
        (info.generation, info.connection)
    }
}
