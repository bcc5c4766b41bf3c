//! The state behind its lock, with its notifications, in thousands of schedules: shuttle decides who runs next at every
//! lock and every await. The steps are those of `acquire.rs`, `connect.rs`, `janitor.rs` and `pool.rs`, with numbers for
//! connections. A caller who is never told, a place that is lost, one connection too many: each ends the test.

use std::task::Poll;

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;
use tokio::sync::oneshot;

use super::*;

const CALLERS: usize = 4;
const ROUNDS: usize = 2;

#[test]
fn no_schedule_loses_a_place_or_a_caller() {
    shuttle::check_random(|| block_on(everything()), 3000);
    shuttle::check_pct(|| block_on(everything()), 3000, 3);
}

async fn everything() {
    let pool = Arc::new(Pool::new(&config(1, 1)));
    let callers = [(); CALLERS].map(|()| spawn(caller(Arc::clone(&pool))));
    for caller in callers {
        caller.await.unwrap();
    }
    // What goes on in the background comes to an end.
    let counts = loop {
        let counts = pool.counts();
        if counts.open() == counts.idle {
            break counts;
        }
        yield_now().await;
    };
    assert_eq!((counts.checked_out, counts.waiting), (0, 0), "{counts:?}");
    // The whole capacity can be had.
    let mut leases = Vec::new();
    while leases.len() < counts.capacity as usize {
        leases.push(pool.persistent().await);
    }
    pool.check();
}

async fn caller(pool: Arc<Pool>) {
    for _ in 0..ROUNDS {
        match thread_rng().gen_range(0..6) {
            0 => pool.dispose(),
            1 => drop(pool.acquire(Some(0)).await),
            2 => drop(pool.acquire(Some(2)).await),
            _ => drop(pool.acquire(None).await),
        }
        pool.check();
    }
}

type Reply = oneshot::Sender<Result<Lease, AcquireError>>;

enum Found {
    Lease(Lease),
    Queue(u64, oneshot::Receiver<Result<Lease, AcquireError>>),
    /// The database is away.
    Refusal,
}

struct Pool {
    state: Mutex<State<u32, Reply>>,
    /// What the server sees, and its clock.
    server: Mutex<(u32, Instant)>,
}

/// Comes back when it is dropped, in a condition that is left to chance.
struct Lease {
    pool: Arc<Pool>,
    issued: Option<Issued<u32>>,
}

impl Pool {
    fn new(config: &PoolConfig) -> Self {
        Self { state: Mutex::new(State::new(config)), server: Mutex::new((0, Instant::now())) }
    }

    fn state(&self) -> shuttle::sync::MutexGuard<'_, State<u32, Reply>> {
        self.state.lock().unwrap()
    }

    fn counts(&self) -> Counts {
        self.state().counts(self.now())
    }

    fn now(&self) -> Instant {
        self.server.lock().unwrap().1
    }

    fn check(&self) {
        let counts = self.counts();
        assert!(counts.open() <= counts.capacity && counts.idle <= counts.pool_size, "{counts:?}");
        assert!(self.server.lock().unwrap().0 <= counts.capacity);
    }

    /// As one who asks again after an error.
    async fn persistent(self: &Arc<Self>) -> Lease {
        loop {
            match self.acquire(None).await {
                Some(lease) => return lease,
                None => yield_now().await,
            }
        }
    }

    /// `patience`: after how many looks the caller leaves; `None` waits until it is told.
    async fn acquire(self: &Arc<Self>, patience: Option<u32>) -> Option<Lease> {
        let (ticket, mut answer) = match self.find() {
            Found::Lease(lease) => return Some(lease),
            Found::Queue(ticket, answer) => (ticket, answer),
            Found::Refusal => {
                self.advance(Duration::from_secs(1));
                return None;
            }
        };
        self.connect_for_waiters();
        let Some(mut looks) = patience else {
            return answer.await.unwrap().ok();
        };
        let told = std::future::poll_fn(|context| match std::pin::Pin::new(&mut answer).poll(context) {
            Poll::Pending if looks == 0 => Poll::Ready(None),
            Poll::Pending => {
                looks -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(told) => Poll::Ready(Some(told.unwrap())),
        });
        let told = told.await;
        let told = told.or_else(|| {
            answer.close();
            answer.try_recv().ok()
        });
        self.state().leave(ticket);
        told.and_then(Result::ok)
    }

    fn find(self: &Arc<Self>) -> Found {
        let (now, taker) = (self.now(), Taker::caller());
        let mut state = self.state();
        let found = state.check_out(&taker, now).unwrap();
        assert!(found.expired.is_empty());
        if let Some((issued, _)) = found.issued {
            return Found::Lease(Lease { pool: Arc::clone(self), issued: Some(issued) });
        }
        let (reply, answer) = oneshot::channel();
        state.wait(taker, now, || reply).map_or(Found::Refusal, |ticket| Found::Queue(ticket, answer))
    }

    fn connect_for_waiters(self: &Arc<Self>) {
        let now = self.now();
        let start = self.state().start_connects(now);
        for _ in 0..start.connects {
            spawn(Arc::clone(self).connect());
        }
        if let Some(pause) = start.retry_in {
            let pool = Arc::clone(self);
            spawn(async move {
                pool.advance(pause);
                pool.state().retry_due();
                pool.connect_for_waiters();
            });
        }
    }

    async fn connect(self: Arc<Self>) {
        let generation = self.state().generation();
        yield_now().await;
        let now = self.now();
        if thread_rng().gen_range(0..4) == 0 {
            let error = if thread_rng().r#gen() { refused() } else { full() };
            let told = self.state().connect_failed(&error, now, 0.0);
            for reply in told {
                let _ = reply.send(Err(error.clone()));
            }
        } else {
            self.server.lock().unwrap().0 += 1;
            self.check();
            let placement = self.state().connected(super::opened(0, generation, None), now);
            self.settle(placement);
        }
        self.connect_for_waiters();
    }

    fn dispose(self: &Arc<Self>) {
        let idle = self.state().dispose();
        for _ in idle {
            self.close();
        }
    }

    fn settle(self: &Arc<Self>, placement: Placement<u32, Reply>) {
        match placement {
            Placement::Idle | Placement::Forget(_) => {}
            Placement::Serve(reply, issued) => {
                // A caller who has just left drops the lease, which brings it back here.
                let _ = reply.send(Ok(Lease { pool: Arc::clone(self), issued: Some(issued) }));
            }
            Placement::Verify(pooled) => drop(spawn(Arc::clone(self).verify(pooled))),
            Placement::Close(..) => self.close(),
        }
    }

    async fn verify(self: Arc<Self>, pooled: Box<Pooled<u32>>) {
        yield_now().await;
        let now = self.now();
        let well = thread_rng().r#gen();
        let placement = {
            let mut state = self.state();
            if well { state.verified(pooled, now) } else { state.verify_failed(pooled, now) }
        };
        self.settle(placement);
    }

    fn close(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        spawn(async move {
            yield_now().await;
            pool.server.lock().unwrap().0 -= 1;
            pool.state().close_ended();
            pool.connect_for_waiters();
        });
    }

    fn advance(&self, time: Duration) {
        self.server.lock().unwrap().1 += time;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(Issued { lease, pooled, .. }) = self.issued.take() else { return };
        let verdict = match thread_rng().gen_range(0..6) {
            0 => Verdict::Doubtful,
            1 => Verdict::Unusable(CloseReason::Broken),
            _ => Verdict::Clean,
        };
        let now = self.pool.now();
        let placement = self.pool.state().check_in(lease, pooled, verdict, now);
        self.pool.settle(placement);
    }
}
