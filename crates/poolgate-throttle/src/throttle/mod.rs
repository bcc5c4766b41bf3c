//! The state machine: the calls that change it, and how its parts work together.

mod inspect;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use poolgate_types::{CircuitState, ConfigVersion, Level, rng::Rng};

use crate::{
    breaker::{Admission, Breaker},
    bucket::{self, Bucket},
    event::{Event, Reported},
    held_config::HeldConfig,
    limits::{Limits, Policy},
    news::{Configured, InvalidConfig, News},
    pause::Pause,
    queue::{Queue, Wait},
    request::{Outcome, Permit, PermitKind, RejectReason, Rejection, Request, RequestId, Submitted},
    retries::{Backoff, RetryBudget},
    savings::Savings,
    servers::Servers,
    settings::Settings,
    share::Share,
    spacing::Spacing,
};

/// Minimum sleep: browsers' timers count in milliseconds.
const LEAST_SLEEP: Duration = Duration::from_millis(1);
/// Maximum time in the queue for every request.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Numbers the throttles, so that a permit of another throttle is recognised; no decision depends on it.
static NEXT_OWNER: AtomicU64 = AtomicU64::new(0);

/// Decides when each request of one client starts. The [crate's documentation](crate) says how to drive it.
#[derive(Debug)]
pub struct Throttle {
    settings: Settings,
    owner: u64,
    next_id: u64,
    /// The latest `now` of a caller.
    now: Duration,
    /// The first `now` of a caller.
    born: Option<Duration>,
    rng: Rng,
    config: HeldConfig,
    share: Share,
    /// This throttle's share of the held config's limits at `now`.
    limits: Limits,
    /// The obeyed config, whether it came as a header, and whether it is stale.
    obeyed: Option<(ConfigVersion, bool, bool)>,
    /// The epoch that the budget belongs to; 0 before the first config.
    epoch: u64,
    bucket: Bucket,
    spacing: Spacing,
    pause: Pause,
    breaker: Breaker,
    retries: RetryBudget,
    in_flight: u32,
    queue: Queue,
    /// Requests shed from a full queue; `poll` has yet to report them.
    shed: VecDeque<(RequestId, Rejection)>,
    /// The state that `poll` last reported.
    reported: Reported,
}

impl Throttle {
    /// A throttle that lets all requests pass until it is [configured](Self::configure).
    ///
    /// `seed` feeds the jitter, and decides whether this client probes when the server asks a share of them: take it
    /// from a good source of randomness. Equal seeds and calls give equal decisions.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            settings,
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
            next_id: 0,
            now: Duration::ZERO,
            born: None,
            config: HeldConfig::Unknown,
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

    /// Continues the budget that an earlier throttle of this client [saved](Self::savings) `age` ago, so that a reload
    /// neither refills nor loses it. Call it right after [`new`](Self::new), before the first config.
    ///
    /// Requests that pass before the first config are paid for as well. Savings that are older than 10 s or of another
    /// epoch never give more than a new client gets. Returns `false`, and changes nothing, if a throttle cannot have
    /// saved these numbers.
    pub fn restore(&mut self, savings: &Savings, age: Duration, now: Duration) -> bool {
        let now = self.advance(now);
        if !(Bucket::can_have_saved(savings) && Pause::can_have_saved(savings.paused_for_seconds)) {
            return false;
        }
        self.epoch = savings.epoch;
        self.bucket.restore(savings, age, now);
        self.pause.restore(savings.paused_for(age), now);
        true
    }

    /// Sets this throttle's share of its client; the caller makes sure that all shares add up to one whole. `tokens` is
    /// what other throttles gave up for this share. Returns the tokens that this throttle gives up, 0 while no rate is
    /// in force. Then drain [`poll`](Self::poll).
    ///
    /// Requests in flight continue. If they exceed the new share, none starts until enough have ended.
    pub fn set_share(&mut self, share: Share, tokens: f64, now: Duration) -> f64 {
        let now = self.advance(now);
        let whole = self.config.limits_at(now);
        let (before, after) = (self.share.part(&whole), share.part(&whole));
        self.share = share;
        self.limits = share.of(whole);
        let kept = if after < before { after / before } else { 1.0 };
        self.limits.rate_per_second.map_or(0.0, |rate| self.bucket.reshare(rate, kept, tokens, now))
    }

    /// Takes in news about the config. Within one epoch the higher version wins, whichever way it arrived; of several
    /// epochs in turn, the one that allows the most.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if a field is out of range; the throttle is unchanged and the last valid config stays in
    /// force.
    pub fn configure(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let now = self.advance(now);
        let configured = self.config.learn(news, now)?;
        match news {
            News::NoContact => self.breaker.no_contact(now),
            News::Closed => {}
            _ => self.breaker.heard(now, &mut self.rng),
        }
        self.enforce(now);
        Ok(configured)
    }

    /// Submits a request. Then drain [`poll`](Self::poll).
    ///
    /// Takes constant time and does not allocate when the request starts at once.
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

    /// Gives a permit back and reports how its request ended. Then drain [`poll`](Self::poll).
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
        if permit.kind != PermitKind::Bypass {
            self.pause.answered(now);
        }
        if let Outcome::Rejected { retry_after } = outcome {
            let by = self.config.servers().and_then(Servers::last_heard);
            self.turned_away(retry_after, by, now);
        }
        self.breaker.learn(permit.kind, outcome, now, &mut self.rng);
    }

    /// The gate rejected a request: same as [`Outcome::Rejected`], for a caller that learns it only after completing
    /// the permit. `by` is the epoch in the answer, which says which server's gate it was. `retry_after: None` counts
    /// as one second. Then drain [`poll`](Self::poll).
    pub fn turned_away(&mut self, retry_after: Option<Duration>, by: Option<u64>, now: Duration) {
        let now = self.advance(now);
        if !self.passes_through() && !self.is_regulated(now) {
            self.pause.extend(retry_after, by, now, &mut self.rng);
        }
    }

    /// Asks to retry a request that had no contact or was rejected, by the server or anything in between. `backoff`
    /// belongs to that request, `retry_after` is the one it was given. Returns the time to wait before
    /// [submitting](Self::submit) it again; `None`: report the failure to the app.
    ///
    /// All retries of a client together are at most a tenth of its requests, the first one lent. None is granted above
    /// MODERATE, while the breaker is not closed, or after a `Retry-After` above 30 s. The caller decides whether a
    /// request may be repeated at all: it must be idempotent and without a body.
    pub fn retry(&mut self, backoff: &mut Backoff, retry_after: Option<Duration>, now: Duration) -> Option<Duration> {
        let now = self.advance(now);
        let Reported { level, breaker, .. } = self.to_report(now);
        if level > Level::Moderate || breaker != CircuitState::Closed || matches!(self.config, HeldConfig::Closed) {
            return None;
        }
        let wait = backoff.next(retry_after, &mut self.rng)?;
        self.retries.spend().then_some(wait)
    }

    /// Removes a request from the queue; it costs nothing. Then drain [`poll`](Self::poll).
    ///
    /// Returns `false` if it is not queued: it has started, or `poll` has reported or will report its rejection.
    pub fn abort(&mut self, id: RequestId, now: Duration) -> bool {
        self.advance(now);
        self.queue.remove(id)
    }

    /// The next event at `now`; call it until it returns `None`.
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
        if let HeldConfig::Closed = self.config {
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

    /// When to call [`poll`](Self::poll) if nothing else happens: always later than the latest `now` of a caller.
    /// `None` if the passing of time starts and rejects nothing.
    pub fn next_wakeup(&self) -> Option<Duration> {
        let soonest = self.now.checked_add(LEAST_SLEEP)?;
        if !self.shed.is_empty() {
            return Some(soonest);
        }
        let deadline = self.queue.first_deadline()?;
        let start = self.breaker.waits_until().or_else(|| self.next_start());
        let change = self.config.obeyed(self.now).and_then(|config| config.next_change(self.now));
        let due = [start, change].into_iter().flatten().fold(deadline, Duration::min);
        // Events that are due already wait for `poll`, or their time was rounded: wake up a moment later.
        Some(if due > self.now { due } else { soonest })
    }

    /// Moves time forward and applies its effects. A clock that jumps back stands still.
    fn advance(&mut self, now: Duration) -> Duration {
        // Callers read the clock once for several calls; this moment is done already.
        if now <= self.now && self.born.is_some() {
            return self.now;
        }
        self.now = self.now.max(now);
        self.born.get_or_insert(self.now);
        self.enforce(self.now);
        self.now
    }

    /// Puts the held config's limits at `now` into force.
    fn enforce(&mut self, now: Duration) {
        let mut whole = Limits::default();
        if let Some(config) = self.config.obeyed(now) {
            whole = config.limits_at(now);
            let Policy { at, partial, verdict, .. } = config.policy;
            let obeyed = Some((at, partial, config.is_stale(now)));
            if obeyed != self.obeyed {
                self.obeyed = obeyed;
                if config.is_stale(now) {
                    self.breaker.lapse(config.expires_at, &mut self.rng);
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
