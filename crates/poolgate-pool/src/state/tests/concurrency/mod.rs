//! The state behind its lock, with its notifications, in thousands of schedules: shuttle decides which task runs next at
//! every lock and every await. The steps are those of `acquire.rs` and `tasks.rs`, with numbers for sessions on a server.
//! The test fails if a caller is answered twice or never, if a slot is lost or freed twice, or if a session has no slot.

mod pool;

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

use self::pool::{Lease, Pool};
use super::*;

const CALLERS: usize = 4;
const ROUNDS: usize = 2;

/// What a caller does in one round, chosen at random.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Acquires a connection, uses it and returns it.
    Turn,
    /// The same, but leaves the queue after this many polls.
    ShortTurn(u32),
    Dispose,
    /// Revokes another caller's lease: its next use fails.
    Revoke,
    /// Revokes a lease, ends its session on the server and frees its slot.
    Reclaim,
    Resize,
    SetMinConnections,
}

const TURNS: [Act; 5] = [Act::Turn, Act::Turn, Act::Turn, Act::ShortTurn(0), Act::ShortTurn(2)];

#[test]
fn no_schedule_loses_a_slot_or_a_caller() {
    in_all_orders(&[TURNS.as_slice(), &[Act::Dispose]].concat());
}

#[test]
fn no_schedule_loses_or_doubles_the_slot_of_a_revoked_lease() {
    in_all_orders(&[Act::Turn, Act::Turn, Act::ShortTurn(1), Act::Revoke, Act::Reclaim, Act::Reclaim]);
}

#[test]
fn no_schedule_loses_a_slot_while_sizes_change() {
    in_all_orders(&[TURNS.as_slice(), &[Act::Resize, Act::Resize, Act::SetMinConnections]].concat());
}

#[test]
fn no_schedule_of_all_acts_loses_a_slot_or_a_caller() {
    let upkeep = [Act::Dispose, Act::Revoke, Act::Reclaim, Act::Resize, Act::SetMinConnections];
    in_all_orders(&[TURNS.as_slice(), &upkeep].concat());
}

#[test]
fn no_schedule_leaves_a_caller_waiting_for_a_closed_pool() {
    in_schedules(|| {
        block_on(async {
            let pool = Arc::new(Pool::new(&config(1, 1)));
            let callers = start(&pool, &[TURNS.as_slice(), &[Act::Reclaim, Act::SetMinConnections]].concat());
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
    assert!(counts.idle >= pool.kept_open(), "not replaced: {counts:?}");
    // The whole capacity can be acquired.
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
            Act::Reclaim => pool.end_session_and_reclaim().await,
            Act::Resize => {
                let (size, max_overflow) = [(1, 0), (1, 1), (2, 0), (0, 2)][thread_rng().gen_range(0..4)];
                pool.resize(size, max_overflow);
            }
            Act::SetMinConnections => pool.set_min_connections(thread_rng().gen_range(0..3)),
        }
        pool.check();
    }
}

async fn turn(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.check_access();
        yield_now().await;
        lease.check_access();
    }
}
