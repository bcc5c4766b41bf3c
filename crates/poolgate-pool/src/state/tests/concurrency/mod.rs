//! The state behind its lock, with its notifications, in thousands of schedules: shuttle decides who runs next at every
//! lock and every await. The steps are those of `acquire.rs`, `connect.rs`, `janitor.rs` and `pool.rs`, with numbers for
//! sessions on a server. A caller who is never told or told twice, a place that is lost or comes back twice, a session
//! without a place: each ends the test.

mod pool;

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

use self::pool::{Lease, Pool};
use super::*;

const CALLERS: usize = 4;
const ROUNDS: usize = 2;

/// What a caller does in one round; which of them, is left to chance.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Takes a connection, uses it and gives it back, however long that takes.
    Turn,
    /// The same, and leaves the queue after so many looks.
    ShortTurn(u32),
    Dispose,
    /// Takes away the lease of somebody else: its next use fails.
    Revoke,
    /// The same, ends its session on the server and takes its place back.
    WriteOff,
    Resize,
    KeepOpen,
}

const TURNS: [Act; 5] = [Act::Turn, Act::Turn, Act::Turn, Act::ShortTurn(0), Act::ShortTurn(2)];

#[test]
fn no_schedule_loses_a_place_or_a_caller() {
    in_all_orders(&[TURNS.as_slice(), &[Act::Dispose]].concat());
}

#[test]
fn no_schedule_loses_or_doubles_the_place_of_a_lease_that_is_taken_away() {
    in_all_orders(&[Act::Turn, Act::Turn, Act::ShortTurn(1), Act::Revoke, Act::WriteOff, Act::WriteOff]);
}

#[test]
fn no_schedule_loses_a_place_while_sizes_change() {
    in_all_orders(&[TURNS.as_slice(), &[Act::Resize, Act::Resize, Act::KeepOpen]].concat());
}

#[test]
fn no_schedule_of_everything_together_loses_a_place_or_a_caller() {
    let upkeep = [Act::Dispose, Act::Revoke, Act::WriteOff, Act::Resize, Act::KeepOpen];
    in_all_orders(&[TURNS.as_slice(), &upkeep].concat());
}

#[test]
fn no_schedule_leaves_a_caller_waiting_for_a_closed_pool() {
    in_schedules(|| {
        block_on(async {
            let pool = Arc::new(Pool::new(&config(1, 1)));
            let callers = start(&pool, &[TURNS.as_slice(), &[Act::WriteOff, Act::KeepOpen]].concat());
            pool.drain().await;
            for caller in callers {
                caller.await.unwrap();
            }
            assert_eq!(pool.quiet().await.open(), 0);
            assert!(pool.acquire(None).await.is_none());
            pool.check_at_the_end();
        });
    });
}

fn in_all_orders(acts: &[Act]) {
    let acts: Arc<[Act]> = acts.into();
    in_schedules(move || block_on(together(&acts)));
}

fn in_schedules(work: impl Fn() + Clone + Send + Sync + 'static) {
    shuttle::check_random(work.clone(), 3000);
    shuttle::check_pct(work, 3000, 3);
}

async fn together(acts: &Arc<[Act]>) {
    let min_idle = thread_rng().gen_range(0..3);
    let pool = Arc::new(Pool::new(&PoolConfig { min_idle, ..config(1, 1) }));
    pool.connect_for_waiters();
    for caller in start(&pool, acts) {
        caller.await.unwrap();
    }
    let counts = pool.quiet().await;
    assert_eq!((counts.open() - counts.idle, counts.waiting), (0, 0), "{counts:?}");
    assert!(counts.idle >= pool.kept_open(), "not made up for: {counts:?}");
    // The whole capacity can be had.
    let mut leases = Vec::new();
    while leases.len() < counts.capacity as usize {
        leases.push(pool.persistent().await);
    }
    pool.check_at_the_end();
}

fn start(pool: &Arc<Pool>, acts: &[Act]) -> Vec<JoinHandle<()>> {
    let caller = |_| spawn(caller(Arc::clone(pool), acts.into()));
    (0..CALLERS).map(caller).collect()
}

async fn caller(pool: Arc<Pool>, acts: Arc<[Act]>) {
    for _ in 0..ROUNDS {
        match acts[thread_rng().gen_range(0..acts.len())] {
            Act::Turn => turn(pool.acquire(None).await).await,
            Act::ShortTurn(patience) => turn(pool.acquire(Some(patience)).await).await,
            Act::Dispose => pool.dispose(),
            Act::Revoke => drop(pool.revoke()),
            Act::WriteOff => pool.end_session_and_write_off().await,
            Act::Resize => {
                let (size, max_overflow) = [(1, 0), (1, 1), (2, 0), (0, 2)][thread_rng().gen_range(0..4)];
                pool.resize(size, max_overflow);
            }
            Act::KeepOpen => pool.keep_open(thread_rng().gen_range(0..3)),
        }
        pool.check();
    }
}

async fn turn(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.check_title();
        yield_now().await;
        lease.check_title();
    }
}
