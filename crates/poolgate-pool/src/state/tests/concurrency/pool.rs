//! A pool around the state, like `acquire.rs` and `tasks.rs`, and a server that knows its sessions.

use std::task::Poll;

use shuttle::future::{spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::*;

#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State<i32, Reply>>,
    /// As in `Shared`: as long as it is zero, using a lease needs no look at the state.
    revoked: AtomicU32,
    server: Mutex<Server>,
    /// The answers to waiting callers.
    outcomes: Mutex<Outcomes>,
}

type Answer = Result<Issued<i32>, AcquireError>;
type Reply = oneshot::Sender<Answer>;

#[derive(Debug)]
struct Server {
    sessions: BTreeSet<i32>,
    begun: i32,
    now: Instant,
    /// Leases that were reported as revoked.
    taken_away: BTreeSet<u64>,
    /// After a shrink there may be this many connections until some have been returned.
    largest_capacity: u32,
}

#[derive(Debug, Default)]
struct Outcomes {
    asked: u32,
    told: u32,
    left: u32,
    /// Left at the moment of the answer; the connection then goes to the next caller.
    missed: u32,
}

enum Found {
    Lease(Lease),
    Queue(u64, oneshot::Receiver<Answer>),
    /// The database is away, or the pool is closed.
    Refusal,
}

/// Returned when it is dropped, in a random condition.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    issued: Option<Issued<i32>>,
}

impl Pool {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let server = Server {
            sessions: BTreeSet::new(),
            begun: 0,
            now: Instant::now(),
            taken_away: BTreeSet::new(),
            largest_capacity: config.capacity(),
        };
        let state = Mutex::new(State::new(config));
        Self { state, revoked: AtomicU32::new(0), server: Mutex::new(server), outcomes: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State<i32, Reply>> {
        self.state.lock().unwrap()
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap()
    }

    fn counts(&self) -> Counts {
        self.state().counts(self.now())
    }

    fn now(&self) -> Instant {
        self.server().now
    }

    fn advance(&self, time: Duration) {
        self.server().now += time;
    }

    pub(super) fn kept_open(&self) -> u32 {
        let state = self.state();
        state.min_connections.max(state.min_idle).min(state.size)
    }

    /// Each session has its own slot, and nothing is idle while a caller waits or there are too many connections.
    pub(super) fn check(&self) {
        let state = self.state();
        let server = self.server();
        assert!(server.sessions.len() <= state.open() as usize, "sessions without a slot: {state:?}");
        assert!(state.open() <= server.largest_capacity, "{state:?}");
        assert!(state.idle.len() <= state.size as usize, "{state:?}");
        assert!(state.idle.is_empty() || (state.waiting.is_empty() && fits(&state)), "{state:?}");
    }

    /// At rest: as many sessions as slots, none beyond the capacity, and one outcome for each caller.
    pub(super) fn check_at_the_end(&self) {
        let (state, server, outcomes) = (self.state(), self.server(), self.outcomes());
        assert_eq!(state.open() as usize, server.sessions.len());
        assert!(state.open() <= state.capacity());
        assert_eq!((state.revoked(), self.revoked.load(SeqCst)), (0, 0), "all revoked leases were returned");
        assert_eq!(outcomes.asked, outcomes.told + outcomes.left + outcomes.missed, "{outcomes:?}");
    }

    /// Waits for the background tasks, each of which has a handle to the pool.
    pub(super) async fn quiet(self: &Arc<Self>) -> Counts {
        while Arc::strong_count(self) > 1 {
            yield_now().await;
        }
        self.counts()
    }

    /// Retries after an error.
    pub(super) async fn persistent(self: &Arc<Self>) -> Lease {
        loop {
            match self.acquire(None).await {
                Some(lease) => return lease,
                None => yield_now().await,
            }
        }
    }

    /// `patience`: number of polls after which the caller leaves; `None` waits for the answer.
    pub(super) async fn acquire(self: &Arc<Self>, patience: Option<u32>) -> Option<Lease> {
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
            return answer.await.unwrap().ok().map(|issued| self.lease(issued));
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
        let left = self.state().leave(ticket);
        let told = told.or_else(|| {
            answer.close();
            answer.try_recv().ok()
        });
        assert!(!(left && told.is_some()), "served and still in the queue");
        self.outcomes().left += u32::from(left);
        told.and_then(Result::ok).map(|issued| self.lease(issued))
    }

    fn lease(self: &Arc<Self>, issued: Issued<i32>) -> Lease {
        Lease { pool: Arc::clone(self), issued: Some(issued) }
    }

    fn find(self: &Arc<Self>) -> Found {
        let (now, caller) = (self.now(), Caller::current());
        let mut state = self.state();
        let Ok(found) = state.check_out(&caller, now) else { return Found::Refusal };
        assert!(found.expired.is_empty());
        if let Some((issued, _)) = found.issued {
            return Found::Lease(self.lease(issued));
        }
        let (reply, answer) = oneshot::channel();
        let Ok(ticket) = state.wait(caller, now, || reply) else { return Found::Refusal };
        self.outcomes().asked += 1;
        Found::Queue(ticket, answer)
    }

    pub(super) fn connect_for_waiters(self: &Arc<Self>) {
        let now = self.now();
        let mut state = self.state();
        let start = state.start_connects(now);
        assert!(start.connects == 0 || state.open() <= state.capacity(), "one too many");
        drop(state);
        for _ in 0..start.connects {
            spawn(Arc::clone(self).connect());
        }
        if let Some(at) = start.retry_at {
            let pool = Arc::clone(self);
            spawn(async move {
                pool.advance(at.saturating_duration_since(pool.now()));
                pool.state().retry_due(at);
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
            let told = {
                let mut state = self.state();
                let options_generation = state.options_generation();
                state.connect_failed(&error, options_generation, now, 0.0)
            };
            self.tell_all(told, &error);
        } else {
            let session = self.server().begin();
            self.check();
            let server_pid = Some(session);
            let opened = Opened { connection: session, generation, expires: None, server_pid, read_only: false };
            self.place(|state| state.connected(opened, now));
        }
        self.connect_for_waiters();
    }

    pub(super) fn dispose(self: &Arc<Self>) {
        let idle = self.state().dispose();
        self.close_all(idle);
    }

    pub(super) fn resize(self: &Arc<Self>, size: u32, max_overflow: u32) {
        let mut state = self.state();
        let idle = state.resize(size, max_overflow);
        let mut server = self.server();
        server.largest_capacity = server.largest_capacity.max(state.capacity());
        drop((state, server));
        self.close_all(idle);
        self.connect_for_waiters();
    }

    pub(super) fn set_min_connections(self: &Arc<Self>, count: u32) {
        self.state().set_min_connections(count);
        self.connect_for_waiters();
    }

    /// Revokes a random lease; returns its number and its session.
    pub(super) fn revoke(&self) -> Option<(u64, i32)> {
        let leases = self.state().leases(self.now());
        let chosen = leases.get(thread_rng().gen_range(0..leases.len().max(1)))?;
        let mut state = self.state();
        let found = state.revoke(chosen.id);
        self.revoked.store(state.revoked(), SeqCst);
        drop(state);
        if found {
            self.server().taken_away.insert(chosen.id);
        }
        found.then_some((chosen.id, chosen.server_pid?))
    }

    pub(super) async fn end_session_and_reclaim(self: &Arc<Self>) {
        let Some((lease, session)) = self.revoke() else { return };
        yield_now().await;
        self.server().end(session);
        yield_now().await;
        if self.state().reclaim(lease) {
            self.connect_for_waiters();
            assert!(!self.state().reclaim(lease), "its slot was freed twice");
        }
    }

    /// Closes the pool and waits until no connection is left.
    pub(super) async fn drain(self: &Arc<Self>) {
        let (waiting, idle) = self.state().shut();
        self.tell_all(waiting, &AcquireError::Closed);
        self.close_all(idle);
        while self.state().open() > 0 {
            yield_now().await;
        }
    }

    fn tell_all(&self, replies: Vec<Reply>, error: &AcquireError) {
        for reply in replies {
            let mut outcomes = self.outcomes();
            outcomes.note(reply.send(Err(error.clone())).is_err());
        }
    }

    fn place(self: &Arc<Self>, work: impl FnOnce(&mut State<i32, Reply>) -> Placement<i32, Reply>) {
        let mut state = self.state();
        let placement = work(&mut state);
        let kept = matches!(placement, Placement::Idle | Placement::Serve(..));
        assert!(!kept || fits(&state), "kept although there are too many: {state:?}");
        drop(state);
        self.settle(placement);
    }

    fn settle(self: &Arc<Self>, placement: Placement<i32, Reply>) {
        match placement {
            Placement::Idle | Placement::Forget(_) => {}
            Placement::Serve(reply, issued) => {
                let mut outcomes = self.outcomes();
                let sent = reply.send(Ok(issued));
                outcomes.note(sent.is_err());
                drop(outcomes);
                // The caller may have just left; then the next one gets the connection.
                if let Err(Ok(unwanted)) = sent {
                    self.end_lease(unwanted, Verdict::Clean);
                }
            }
            Placement::Verify(pooled) => drop(spawn(Arc::clone(self).verify(pooled))),
            Placement::Close(pooled, _) => self.close(&pooled),
        }
    }

    fn end_lease(self: &Arc<Self>, issued: Issued<i32>, verdict: Verdict) {
        let now = self.now();
        self.place(|state| {
            let (placement, _) = state.check_in(issued.lease, issued.pooled, verdict, now);
            if self.revoked.load(SeqCst) != 0 {
                self.revoked.store(state.revoked(), SeqCst);
            }
            placement
        });
    }

    async fn verify(self: Arc<Self>, pooled: Box<Pooled<i32>>) {
        yield_now().await;
        let now = self.now();
        let well = thread_rng().r#gen();
        self.place(|state| if well { state.verified(pooled, now) } else { state.verify_failed(pooled, now) });
    }

    fn close_all(self: &Arc<Self>, idle: impl IntoIterator<Item = Box<Pooled<i32>>>) {
        for pooled in idle {
            self.close(&pooled);
        }
    }

    fn close(self: &Arc<Self>, pooled: &Pooled<i32>) {
        let (pool, session) = (Arc::clone(self), pooled.connection);
        spawn(async move {
            yield_now().await;
            pool.server().end(session);
            pool.state().close_ended();
            pool.connect_for_waiters();
        });
    }
}

fn fits(state: &State<i32, Reply>) -> bool {
    state.open() - state.closing <= state.capacity()
}

impl Server {
    fn begin(&mut self) -> i32 {
        self.begun += 1;
        self.sessions.insert(self.begun);
        self.begun
    }

    /// By its client or by an administrator; a second call has no effect.
    fn end(&mut self, session: i32) {
        self.sessions.remove(&session);
    }
}

impl Outcomes {
    fn note(&mut self, missed: bool) {
        if missed { self.missed += 1 } else { self.told += 1 }
    }
}

impl Lease {
    /// As every use does: a revoked lease must not be used.
    pub(super) fn check_access(&self) {
        let Some(issued) = &self.issued else { return };
        let taken_away = self.pool.server().taken_away.contains(&issued.lease);
        let is_revoked = self.pool.revoked.load(SeqCst) != 0 && self.pool.state().is_revoked(issued.lease);
        assert!(is_revoked || !taken_away, "used after it was revoked");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(issued) = self.issued.take() else { return };
        let verdict = match thread_rng().gen_range(0..6) {
            0 => Verdict::Doubtful,
            1 => Verdict::Unusable(CloseReason::Broken),
            _ => Verdict::Clean,
        };
        self.pool.end_lease(issued, verdict);
    }
}
