//! The state machine itself: the six verbs and how its parts act together.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use poolgate_types::Health;

use crate::{
    Configured, Event, InvalidConfig, Limits, News, Outcome, Permit, RejectReason, Rejection, Request, RequestId,
    Settings, State, Submitted,
    breaker::{Admission, Breaker},
    bucket::Bucket,
    event::Reported,
    lease::{Held, Lease},
    pause::Pause,
    queue::Queue,
    request::PermitKind,
    rng::Rng,
    spacing::Spacing,
};

/// Added when a wake-up would not be in the future: browsers' timers count in milliseconds.
const LEAST_SLEEP: Duration = Duration::from_millis(1);
/// No request waits longer, whatever its own limit.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Tells permits of one throttle from those of another; no decision depends on it.
static NEXT_OWNER: AtomicU64 = AtomicU64::new(0);

/// Decides which request of one client starts when. See the [crate's page](crate) for how to drive it.
#[derive(Debug)]
pub struct Throttle {
    settings: Settings,
    owner: u64,
    next_id: u64,
    /// The latest time that a caller named.
    now: Duration,
    rng: Rng,
    lease: Lease,
    /// What the lease means at `now`.
    limits: Limits,
    bucket: Bucket,
    spacing: Spacing,
    pause: Pause,
    breaker: Breaker,
    in_flight: u32,
    queue: Queue,
    /// Left the queue to make room; `poll` has yet to say so.
    shed: VecDeque<(RequestId, Rejection)>,
    /// What `poll` last said about the state.
    reported: Reported,
}

impl Throttle {
    /// A throttle that lets everything pass until it is [configured](Self::configure).
    ///
    /// `seed` feeds its own small generator of jitter and tells it apart from other clients when the server asks a
    /// share of them to probe: take it from a good source of randomness. Equal seeds and calls give equal decisions.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            settings,
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
            next_id: 0,
            now: Duration::ZERO,
            lease: Lease::Unknown,
            limits: Limits::default(),
            bucket: Bucket::new(&mut rng),
            spacing: Spacing::default(),
            pause: Pause::default(),
            breaker: Breaker::new(seed),
            in_flight: 0,
            queue: Queue::default(),
            shed: VecDeque::new(),
            reported: Reported::default(),
            rng,
        }
    }

    /// Takes in what the client has learned about the config. The higher (epoch, version) wins wherever it came from.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a field is out of range; nothing has changed then, and the last good config holds on.
    pub fn configure(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let now = self.advance(now);
        let was_stale = self.lease.held().is_some_and(|held| held.is_stale(now));
        let configured = self.lease.learn(news, now)?;
        match news {
            News::NoContact => self.breaker.no_contact(now),
            News::Closed => {}
            _ => self.breaker.heard(now, &mut self.rng),
        }
        if let Some(held) = self.lease.held()
            && !held.is_stale(now)
            && (was_stale || configured == Configured::Applied)
        {
            self.breaker.judge(held.policy.verdict, held.policy.at, now);
        }
        self.enforce(now);
        Ok(configured)
    }

    /// Asks to send a request. Then drain [`poll`](Self::poll).
    ///
    /// Takes constant time and allocates nothing when the request starts at once.
    pub fn submit(&mut self, request: Request, now: Duration) -> Submitted {
        let now = self.advance(now);
        self.next_id += 1;
        let id = RequestId(self.next_id);
        if request.bypass {
            return Submitted::Start(self.permit(id, PermitKind::Bypass));
        }
        if self.passes_through() {
            return Submitted::Start(self.start(id, PermitKind::Counted, now));
        }
        let admission = self.breaker.admission(now, &mut self.rng);
        if let Admission::Refuse { retry_after } = admission {
            return Submitted::Rejected(Rejection::new(RejectReason::CircuitOpen, Some(retry_after)));
        }
        if self.queue.is_empty() && admission != Admission::Wait && self.may_start(now) {
            return Submitted::Start(self.start_admitted(id, admission, now));
        }
        self.enqueue(id, request, now)
    }

    /// Gives a permit back and says what became of the request. Then drain [`poll`](Self::poll).
    ///
    /// A permit of another throttle is ignored.
    #[expect(clippy::needless_pass_by_value, reason = "the permit is used up")]
    pub fn complete(&mut self, permit: Permit, outcome: Outcome, now: Duration) {
        let now = self.advance(now);
        if permit.owner != self.owner {
            return;
        }
        if permit.kind != PermitKind::Bypass {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if self.passes_through() {
            return;
        }
        if let Outcome::Rejected { retry_after } = outcome {
            self.pause.extend(retry_after, self.interval(), now, &mut self.rng);
        }
        self.breaker.learn(permit.kind, outcome, now, &mut self.rng);
    }

    /// Takes a waiting request out of the queue; it has spent nothing. Then drain [`poll`](Self::poll).
    ///
    /// `false`: it does not wait (any more): it has started, or `poll` has said or will say that it was rejected.
    pub fn abort(&mut self, id: RequestId, now: Duration) -> bool {
        self.advance(now);
        self.queue.remove(id)
    }

    /// The next thing to act on at `now`; call it until it answers `None`.
    pub fn poll(&mut self, now: Duration) -> Option<Event> {
        let now = self.advance(now);
        let to_report = self.to_report(now);
        if let Some(change) = self.reported.catch_up(to_report) {
            return Some(change);
        }
        if let Some((id, rejection)) = self.shed.pop_front() {
            return Some(Event::Rejected(id, rejection));
        }
        if self.queue.is_empty() {
            return None;
        }
        if let Lease::Closed = self.lease {
            let id = self.queue.pop_oldest()?;
            return Some(Event::Rejected(id, Rejection::new(RejectReason::Closed, None)));
        }
        if let Some(id) = self.queue.pop_expired(now) {
            return Some(Event::Rejected(id, Rejection::new(RejectReason::QueueTimeout, self.expected_wait(now))));
        }
        let admission =
            if self.passes_through() { Admission::Flow } else { self.breaker.admission(now, &mut self.rng) };
        match admission {
            Admission::Refuse { retry_after } => {
                let id = self.queue.pop_oldest()?;
                Some(Event::Rejected(id, Rejection::new(RejectReason::CircuitOpen, Some(retry_after))))
            }
            Admission::Flow | Admission::Probe if self.may_start(now) => {
                let id = self.queue.pop_next()?;
                Some(Event::Start(id, self.start_admitted(id, admission, now)))
            }
            Admission::Flow | Admission::Probe | Admission::Wait => None,
        }
    }

    /// When [`poll`](Self::poll) must be called again though nothing else happened: always later than the latest `now`
    /// that this throttle was told, and `None` when time alone starts and rejects nothing.
    pub fn next_wakeup(&self) -> Option<Duration> {
        let soonest = self.now.checked_add(LEAST_SLEEP)?;
        if !self.shed.is_empty() {
            return Some(soonest);
        }
        let deadline = self.queue.first_deadline()?;
        let start = self.breaker.waits_until().or_else(|| self.next_start());
        let change = self.lease.held().and_then(|held| held.next_change(self.now));
        let due = [start, change].into_iter().flatten().fold(deadline, Duration::min);
        // What is due already waits for `poll`, or was rounded: then a moment later is soon enough.
        Some(if due > self.now { due } else { soonest })
    }

    /// What is in force at `now`. Changes nothing.
    pub fn state(&self, now: Duration) -> State {
        let now = self.now.max(now);
        let held = self.lease.held();
        let limits = self.lease.limits_at(now);
        let oldest = self.queue.oldest_since();
        let Reported { level, breaker, stale } = self.to_report(now);
        State {
            level,
            health: held.map_or(Health::default(), |held| held.policy.health),
            breaker,
            enforced: held.is_some_and(Held::is_enforced),
            stale,
            passes_through: self.passes_through(),
            in_flight: self.in_flight,
            queued: self.queue.len(),
            oldest_wait: oldest.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            paused_for: if self.passes_through() { Duration::ZERO } else { self.pause.until().saturating_sub(now) },
            version: held.map(|held| held.policy.at),
            rate_per_second: limits.rate_per_second,
            limits,
        }
    }

    /// Moves time on: never backwards, a clock that jumps back stands still here. Does what time alone brings about.
    fn advance(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        if let Some(held) = self.lease.held()
            && held.is_stale(self.now)
        {
            self.breaker.lapse(held.expires_at, &mut self.rng);
        }
        self.enforce(self.now);
        self.now
    }

    /// Puts into force what the lease means at `now`.
    fn enforce(&mut self, now: Duration) {
        let limits = self.lease.limits_at(now);
        if limits != self.limits {
            self.bucket.set_rate(limits.rate_per_second, now, &mut self.rng);
            self.limits = limits;
        }
    }

    fn passes_through(&self) -> bool {
        self.lease.held().is_none()
    }

    fn may_start(&self, now: Duration) -> bool {
        self.next_start().is_some_and(|at| at <= now)
    }

    /// When the next start may happen as far as limits and pauses go; `None` before a request in flight has ended.
    fn next_start(&self) -> Option<Duration> {
        if self.passes_through() {
            return Some(self.now);
        }
        if self.limits.concurrency.is_some_and(|most| self.in_flight >= most) {
            return None;
        }
        let budget = self.bucket.ready_at(self.now).max(self.spacing.ready_at(&self.limits));
        Some(budget.max(self.pause.until()))
    }

    /// The time between two starts that a fair rate in force stands for.
    fn interval(&self) -> Option<Duration> {
        self.limits.rate_per_second.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok())
    }

    /// What a rejected request is told about when to return.
    fn expected_wait(&self, now: Duration) -> Option<Duration> {
        self.next_start().map(|at| at.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    fn start_admitted(&mut self, id: RequestId, admission: Admission, now: Duration) -> Permit {
        let kind = match admission {
            Admission::Probe => PermitKind::Probe(self.breaker.start_probe(now)),
            _ => PermitKind::Counted,
        };
        self.start(id, kind, now)
    }

    fn start(&mut self, id: RequestId, kind: PermitKind, now: Duration) -> Permit {
        self.in_flight = self.in_flight.saturating_add(1);
        self.bucket.spend(now, &mut self.rng);
        self.spacing.record(&self.limits, now);
        self.permit(id, kind)
    }

    fn permit(&self, id: RequestId, kind: PermitKind) -> Permit {
        Permit { id, owner: self.owner, kind }
    }

    fn enqueue(&mut self, id: RequestId, request: Request, now: Duration) -> Submitted {
        let timeout = request.queue_timeout.unwrap_or(self.settings.queue_timeout);
        if timeout.is_zero() {
            return Submitted::Rejected(Rejection::new(RejectReason::QueueTimeout, self.expected_wait(now)));
        }
        if self.queue.len() >= self.settings.max_queue {
            let full = Rejection::new(RejectReason::QueueFull, self.expected_wait(now));
            if let Some(victim) = self.queue.pop_expired(now) {
                self.shed.push_back((victim, Rejection { reason: RejectReason::QueueTimeout, ..full }));
            } else if let Some(victim) = self.queue.pop_newest_below(request.priority) {
                self.shed.push_back((victim, full));
            } else {
                return Submitted::Rejected(full);
            }
        }
        let timeout = timeout.min(LONGEST_WAIT);
        self.queue.push(id, request.priority, now, now.saturating_add(timeout));
        Submitted::Queued(id)
    }

    /// The state as `poll` reports it.
    fn to_report(&self, now: Duration) -> Reported {
        self.lease.held().map_or_else(Reported::default, |held| Reported {
            level: held.policy.level,
            breaker: self.breaker.state(now, held.is_stale(now)),
            stale: held.is_stale(now),
        })
    }
}

impl Rejection {
    const fn new(reason: RejectReason, retry_after: Option<Duration>) -> Self {
        Self { reason, retry_after }
    }
}
