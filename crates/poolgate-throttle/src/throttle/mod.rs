//! The state machine itself: the six verbs and how its parts act together.

mod inspect;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use poolgate_types::{CircuitState, ConfigVersion, Level, rng::Rng};

use crate::{
    Backoff, Configured, Event, InvalidConfig, Limits, News, Order, Outcome, Permit, RejectReason, Rejection, Request,
    RequestId, Savings, Settings, Share, Submitted,
    breaker::{Admission, Breaker},
    bucket::{self, Bucket},
    event::Reported,
    lease::Lease,
    limits::Policy,
    pause::Pause,
    queue::{Discipline, Queue, Wait},
    request::PermitKind,
    retries::RetryBudget,
    servers::Servers,
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
    /// The first time that a caller named.
    born: Option<Duration>,
    rng: Rng,
    lease: Lease,
    share: Share,
    /// This throttle's share of what the lease means at `now`.
    limits: Limits,
    /// The config that is obeyed, whether it is a header's, and whether it is stale.
    obeyed: Option<(ConfigVersion, bool, bool)>,
    /// The server's life that the budget belongs to; 0: none yet.
    epoch: u64,
    bucket: Bucket,
    spacing: Spacing,
    pause: Pause,
    breaker: Breaker,
    retries: RetryBudget,
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
            born: None,
            lease: Lease::Unknown,
            share: Share::default(),
            limits: Limits::default(),
            obeyed: None,
            epoch: 0,
            bucket: Bucket::new(&mut rng),
            spacing: Spacing::default(),
            pause: Pause::default(),
            breaker: Breaker::new(seed),
            retries: RetryBudget::new(),
            in_flight: 0,
            queue: Queue::default(),
            shed: VecDeque::new(),
            reported: Reported::default(),
            rng,
        }
    }

    /// Goes on with the budget that an earlier throttle of this client [saved](Self::savings) `age` ago, so that
    /// loading a page again neither refills nor loses it. Call it right after [`new`](Self::new), before the first
    /// config.
    ///
    /// What passes before the first config is paid for as well. Savings older than 10 s, or of another epoch, can only
    /// make the budget smaller than a newcomer's. `false`: the numbers cannot be what a throttle saved; nothing has
    /// changed then.
    pub fn restore(&mut self, savings: &Savings, age: Duration, now: Duration) -> bool {
        let now = self.advance(now);
        if !savings.is_sound() {
            return false;
        }
        self.epoch = savings.epoch;
        self.bucket.restore(savings, age, now);
        self.pause.restore(savings.paused_for(age), now);
        true
    }

    /// Acts as a part of a client from now on: the caller sees to it that all parts together are one whole. `tokens` is
    /// what others gave up for this share; gives back what this throttle gives up of its own, which is 0 while no rate is
    /// in force. Then drain [`poll`](Self::poll).
    ///
    /// Requests in flight stay so: where they are more than the new share, none starts until enough have ended.
    pub fn set_share(&mut self, share: Share, tokens: f64, now: Duration) -> f64 {
        let now = self.advance(now);
        let whole = self.lease.limits_at(now);
        let (before, after) = (self.share.part(&whole), share.part(&whole));
        self.share = share;
        self.limits = share.of(whole);
        let kept = if after < before { after / before } else { 1.0 };
        self.limits.rate_per_second.map_or(0.0, |rate| self.bucket.reshare(rate, kept, tokens, now))
    }

    /// Takes in what the client has learned about the config. Of one epoch the higher version wins wherever it came from; of
    /// several epochs that are heard in turn, the one that allows the most.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a field is out of range; nothing has changed then, and the last good config holds on.
    pub fn configure(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let now = self.advance(now);
        let configured = self.lease.learn(news, now)?;
        match news {
            News::NoContact => self.breaker.no_contact(now),
            News::Closed => {}
            _ => self.breaker.heard(now, &mut self.rng),
        }
        self.enforce(now);
        Ok(configured)
    }

    /// Asks to send a request. Then drain [`poll`](Self::poll).
    ///
    /// Takes constant time and allocates nothing when the request starts at once.
    pub fn submit(&mut self, request: Request, now: Duration) -> Submitted {
        let now = self.advance(now);
        self.retries.earn();
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
            let by = self.lease.servers().and_then(Servers::last_heard);
            self.turned_away(retry_after, by, now);
        }
        self.breaker.learn(permit.kind, outcome, now, &mut self.rng);
    }

    /// The gate said when to return: the same as [`Outcome::Rejected`], for whoever finds out that it was the gate after it
    /// has completed the permit. `by` is the epoch that the answer named, of several servers the one whose gate it was. Then
    /// drain [`poll`](Self::poll).
    pub fn turned_away(&mut self, retry_after: Option<Duration>, by: Option<u64>, now: Duration) {
        let now = self.advance(now);
        if !self.passes_through() && !self.is_regulated(now) {
            self.pause.extend(retry_after, by, now, &mut self.rng);
        }
    }

    /// Asks to try a request again that ended without contact or was turned away, by the server or anybody on the way.
    /// `backoff` belongs to that request, `retry_after` is what it was told. Gives how long to wait until it is
    /// [submitted](Self::submit) again; `None`: hand its end on to the app.
    ///
    /// All retries of a client together are a tenth of its requests at most, the first one lent. There is none above
    /// MODERATE, while the breaker is not closed, or for who is told to wait longer than 30 s. Whether a request may be
    /// repeated at all, because it is idempotent and has no body, is the caller's to know.
    pub fn retry(&mut self, backoff: &mut Backoff, retry_after: Option<Duration>, now: Duration) -> Option<Duration> {
        let now = self.advance(now);
        let Reported { level, breaker, .. } = self.to_report(now);
        if level > Level::Moderate || breaker != CircuitState::Closed || matches!(self.lease, Lease::Closed) {
            return None;
        }
        let wait = backoff.next(retry_after, &mut self.rng)?;
        self.retries.spend().then_some(wait)
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
        if !self.passes_through() && self.breaker.asks() {
            return Some(Event::Ask);
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
                let id = self.queue.pop_next(self.discipline())?;
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
        let change = self.lease.held(self.now).and_then(|held| held.next_change(self.now));
        let due = [start, change].into_iter().flatten().fold(deadline, Duration::min);
        // What is due already waits for `poll`, or was rounded: then a moment later is soon enough.
        Some(if due > self.now { due } else { soonest })
    }

    /// Moves time on: never backwards, a clock that jumps back stands still here. Does what time alone brings about.
    fn advance(&mut self, now: Duration) -> Duration {
        // Callers ask the clock once for a few calls; for this moment all has been done.
        if now <= self.now && self.born.is_some() {
            return self.now;
        }
        self.now = self.now.max(now);
        self.born.get_or_insert(self.now);
        self.enforce(self.now);
        self.now
    }

    /// Puts into force what the lease means at `now`.
    fn enforce(&mut self, now: Duration) {
        let mut whole = Limits::default();
        if let Some(held) = self.lease.held(now) {
            whole = held.limits_at(now);
            let Policy { at, partial, verdict, .. } = held.policy;
            let obeyed = Some((at, partial, held.is_stale(now)));
            if obeyed != self.obeyed {
                self.obeyed = obeyed;
                if held.is_stale(now) {
                    self.breaker.lapse(held.expires_at, &mut self.rng);
                } else {
                    self.breaker.judge(verdict, at, now, &mut self.rng);
                }
                if at.epoch != self.epoch {
                    self.epoch = at.epoch;
                    self.bucket.break_off();
                }
            }
        }
        let limits = self.share.of(whole);
        if limits != self.limits {
            let client =
                bucket::Client { age: now.saturating_sub(self.born.unwrap_or(now)), waits: !self.queue.is_empty() };
            self.bucket.set_rate(limits.rate_per_second, client, now, &mut self.rng);
            self.limits = limits;
        }
    }

    fn passes_through(&self) -> bool {
        self.lease.servers().is_none()
    }

    fn may_start(&self, now: Duration) -> bool {
        self.next_start().is_some_and(|at| at <= now)
    }

    /// When the next start may happen as far as limits and pauses go; `None` before a request in flight has ended.
    fn next_start(&self) -> Option<Duration> {
        if self.passes_through() {
            return Some(self.now);
        }
        if self.is_full() {
            return None;
        }
        let budget = self.bucket.ready_at(self.now).max(self.spacing.ready_at(&self.limits));
        Some(budget.max(self.paused_until()))
    }

    fn paused_until(&self) -> Duration {
        let until = self.pause.until();
        let acts = until <= self.now || !(self.is_regulated(self.now) || self.others_take());
        if acts { until } else { Duration::ZERO }
    }

    /// The pause is one server's, and another one takes requests.
    fn others_take(&self) -> bool {
        let servers = self.lease.servers();
        self.pause.by().zip(servers).is_some_and(|(epoch, servers)| servers.others_take(epoch, self.now))
    }

    fn is_full(&self) -> bool {
        self.limits.concurrency.is_some_and(|most| self.in_flight >= most)
    }

    /// The server tells its clients how fast to go, and this one hears it.
    ///
    /// Then a rejection pauses nothing, and a pause that is on does not act. The server has chosen the rate knowing that a
    /// few are rejected. Silence on top leaves the database idle, and ends in a burst that causes the next rejections: in
    /// the simulator, pauses of 50 ms cost ten clients 3 % of the goodput, pauses of 0.3 s 30 %.
    fn is_regulated(&self, now: Duration) -> bool {
        self.lease.held(now).is_some_and(|held| !held.is_stale(now))
            && self.limits.rate_per_second.is_some()
            && self.limits.per_minute.is_none()
            && self.breaker.state(now, false) == CircuitState::Closed
    }

    /// What a rejected request is told about when to return.
    fn expected_wait(&self, now: Duration) -> Option<Duration> {
        self.next_start().map(|at| at.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    /// Where no rate limits, nobody waits for long: a pause ends for all at once.
    fn discipline(&self) -> Discipline {
        match self.settings.order {
            Order::NewestUnderOverload if self.limits.rate_per_second.is_some() => {
                Discipline::NewestUnderOverload(self.now)
            }
            Order::NewestUnderOverload | Order::Arrival => Discipline::Arrival,
        }
    }

    fn start_admitted(&mut self, id: RequestId, admission: Admission, now: Duration) -> Permit {
        let kind = match admission {
            Admission::Probe => PermitKind::Probe(self.breaker.start_probe(now, &mut self.rng)),
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
            } else if let Some(victim) = self.queue.pop_last_before(request.priority, self.discipline()) {
                self.shed.push_back((victim, full));
            } else {
                return Submitted::Rejected(full);
            }
        }
        let deadline = now.saturating_add(timeout.min(LONGEST_WAIT));
        self.queue.push(id, request.priority, Wait { since: now, deadline });
        Submitted::Queued(id)
    }
}

impl Rejection {
    const fn new(reason: RejectReason, retry_after: Option<Duration>) -> Self {
        Self { reason, retry_after }
    }
}
