//! [`poolgate_throttle::Throttle`] and [`poolgate_throttle::RouteLimits`] for JavaScript.

use std::time::Duration;

use poolgate_throttle::{
    Backoff, Event, News, Outcome, Permit, Quota, Rejection, Request, RouteLimits, RouteSignal, Savings, Settings,
    Share, Submitted,
};
use poolgate_types::{ConfigHeader, ConfigVersion, Reason, ThrottlingConfig};
use wasm_bindgen::prelude::*;

use crate::{
    codes,
    table::Table,
    time::{from_ms, or_never, to_ms},
};

/// Decides which request of one client starts when. Every time is in milliseconds since any moment.
///
/// What is not given is not a number. A call gives one number; where there is more to say it is a [`detail`](Self::detail), until the next call that has some.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Throttle {
    throttle: poolgate_throttle::Throttle,
    /// The limits of single routes, which the shell numbers.
    routes: RouteLimits<u32>,
    /// Of requests on their way.
    permits: Table<Permit>,
    details: [f64; 15],
}

/// Places of details: of the last event, of the last rejection, of the last retry, and of what was read last. The other side
/// is `js/codes.js`.
pub(crate) const SUBJECT: usize = 0;
pub(crate) const REASON: usize = 1;
pub(crate) const RETRY_AFTER: usize = 2;
pub(crate) const READING: usize = 3;

#[wasm_bindgen]
impl Throttle {
    /// `seed` is a random number, whole and below 2^53.
    #[wasm_bindgen(constructor)]
    pub fn new(max_queue: u32, queue_timeout_ms: f64, seed: f64) -> Self {
        let settings = Settings {
            // wasm32: the widths are the same.
            max_queue: max_queue as usize,
            queue_timeout: from_ms(queue_timeout_ms),
            ..Settings::default()
        };
        Self {
            throttle: poolgate_throttle::Throttle::new(settings, seed as u64),
            routes: RouteLimits::new(!(seed as u64)),
            permits: Table::new(),
            details: [0.0; 15],
        }
    }

    /// One of the numbers that a call had to give besides its own.
    pub fn detail(&self, place: usize) -> f64 {
        self.details.get(place).copied().unwrap_or_default()
    }

    /// Asks to send a request. Gives its id if it may start, minus its id if it waits, and 0 if it is rejected: details are
    /// why, and after how long another attempt may succeed. Then drain [`poll`](Self::poll).
    pub fn submit(&mut self, priority: u8, bypass: bool, queue_timeout_ms: f64, now: f64) -> f64 {
        let queue_timeout = given(queue_timeout_ms).map(from_ms);
        let request = Request { priority: codes::priority(priority), queue_timeout, bypass };
        match self.throttle.submit(request, from_ms(now)) {
            Submitted::Start(permit) => self.keep(permit),
            // Ids count up from 1, far from 2^53.
            Submitted::Queued(id) => -(id.as_u64() as f64),
            Submitted::Rejected(rejection) => {
                self.note_rejection(rejection);
                0.0
            }
        }
    }

    /// The request has ended: the server was reached (0), it was not (1), or the app gave up (2). Then drain
    /// [`poll`](Self::poll).
    pub fn complete(&mut self, id: f64, outcome: u8, now: f64) {
        if let Some(permit) = self.permits.remove(id as u64) {
            let outcome = match outcome {
                0 => Outcome::Success,
                1 => Outcome::Failure,
                _ => Outcome::Aborted,
            };
            self.throttle.complete(permit, outcome, from_ms(now));
        }
    }

    /// A request that waits will not be sent. Then drain [`poll`](Self::poll).
    pub fn abort(&mut self, id: f64, now: f64) {
        self.throttle.abort((id as u64).into(), from_ms(now));
    }

    /// The next thing to act on, until it gives 0: start a request (1), reject it (2); the level (3), the breaker (4) or
    /// staleness (5) has changed; fetch the config (6). Details are the request or what it has changed to, and of a rejection
    /// the same as of [`submit`](Self::submit).
    pub fn poll(&mut self, now: f64) -> u8 {
        let (event, subject) = match self.throttle.poll(from_ms(now)) {
            None => return 0,
            Some(Event::Start(_, permit)) => (1, self.keep(permit)),
            Some(Event::Rejected(id, rejection)) => {
                self.note_rejection(rejection);
                (2, id.as_u64() as f64)
            }
            Some(Event::LevelChanged { to, .. }) => (3, codes::of_level(to).into()),
            Some(Event::BreakerChanged { to, .. }) => (4, codes::of_circuit(to).into()),
            Some(Event::StaleChanged(stale)) => (5, stale.into()),
            Some(Event::Ask) => (6, 0.0),
            // There is no other yet; it would be nothing to act on.
            Some(_) => (7, 0.0),
        };
        self.note(SUBJECT, &[subject]);
        event
    }

    /// When [`poll`](Self::poll) must be called again though nothing else happened.
    pub fn next_wakeup(&self) -> f64 {
        or_never(self.throttle.next_wakeup())
    }

    /// Takes in a config document. Gives what became of it: something else is in force (0), there is a newer one to fetch
    /// (1), nothing new (2), out of range (3). So do the other `learn`s.
    #[expect(clippy::too_many_arguments, reason = "an object would cross the border member by member as well")]
    pub fn learn_config(
        &mut self,
        epoch: f64,
        version: f64,
        level: u8,
        health: u8,
        enforced: bool,
        open: bool,
        emergency: bool,
        max_concurrent: u32,
        max_per_minute: u32,
        delay_ms: u32,
        fair_rate_per_second: f64,
        poll_after_seconds: u32,
        ttl_seconds: u32,
        retry_after_seconds: f64,
        probe_fraction: f64,
        now: f64,
    ) -> u8 {
        let ConfigVersion { epoch, version } = at(epoch, version);
        self.take_in(
            &News::Config(ThrottlingConfig {
                throttling_level: codes::level(level),
                max_concurrent_requests: max_concurrent,
                max_requests_per_minute: max_per_minute,
                request_delay_ms: delay_ms,
                circuit_breaker_open: open,
                emergency_mode_active: emergency,
                epoch,
                version,
                health: codes::health(health),
                enforced,
                fair_rate_per_second: given(fair_rate_per_second),
                poll_after_seconds,
                ttl_seconds,
                retry_after_seconds: given(retry_after_seconds).map(|seconds| seconds as u32),
                probe_fraction: given(probe_fraction),
                // It explains and does not act; the app finds it in the document itself.
                reason: Reason::Other,
            }),
            now,
        )
    }

    /// Takes in the header of a response.
    #[expect(clippy::too_many_arguments, reason = "an object would cross the border member by member as well")]
    pub fn learn_header(
        &mut self,
        epoch: f64,
        version: f64,
        level: u8,
        interval_ms: f64,
        concurrency: u32,
        open: bool,
        now: f64,
    ) -> u8 {
        let level = codes::level(level);
        let interval_ms = given(interval_ms).map(|milliseconds| milliseconds as u32);
        self.take_in(&News::Header(ConfigHeader { at: at(epoch, version), level, interval_ms, concurrency, open }), now)
    }

    /// This version is current.
    pub fn learn_current(&mut self, epoch: f64, version: f64, now: f64) -> u8 {
        self.take_in(&News::Current(at(epoch, version)), now)
    }

    /// The config could not be fetched (0), the server has none (1), a gated request succeeded and its response said nothing
    /// about a config (2), the client is closed (3).
    pub fn learn(&mut self, news: u8, now: f64) -> u8 {
        let news = match news {
            0 => News::NoContact,
            1 => News::NotFound,
            2 => News::HeaderMissing,
            _ => News::Closed,
        };
        self.take_in(&news, now)
    }

    /// The gate of the server with this epoch (0: unknown) rejected a request, and said when to return.
    pub fn turned_away(&mut self, retry_after_ms: f64, epoch: f64, now: f64) {
        let by = Some(epoch as u64).filter(|epoch| *epoch > 0);
        self.throttle.turned_away(given(retry_after_ms).map(from_ms), by, from_ms(now));
    }

    /// How long a request that failed waits before another attempt; never, if there is none. The detail is what the same
    /// request brings to its next retry as `last_ms`, which is 0 at first.
    pub fn retry(&mut self, last_ms: f64, retry_after_ms: f64, now: f64) -> f64 {
        let mut backoff = Backoff { last: from_ms(last_ms) };
        let wait = self.throttle.retry(&mut backoff, given(retry_after_ms).map(from_ms), from_ms(now));
        self.note(SUBJECT, &[to_ms(backoff.last)]);
        or_never(wait)
    }

    /// Uses `held` of `of` slots from now on, or with 0 for `of` all but `held`, and the tokens that others gave up; gives
    /// those that go to others. Then drain [`poll`](Self::poll).
    pub fn set_share(&mut self, held: u32, of: u32, tokens: f64, now: f64) -> f64 {
        let share = if of == 0 { Share::AllBut(held) } else { Share::Slots { held, of } };
        self.throttle.set_share(share, tokens, from_ms(now))
    }

    /// What is left of the budget, to be stored: `false` where a newcomer would have no less, else five details.
    pub fn savings(&mut self, now: f64) -> bool {
        let savings = self.throttle.savings(from_ms(now));
        if let Some(Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch }) = savings {
            // Unix milliseconds.
            self.note(READING, &[tokens, rate_per_second, next_cost, paused_for_seconds, epoch as f64]);
        }
        savings.is_some()
    }

    /// Goes on with what was stored `age_ms` ago.
    #[expect(clippy::too_many_arguments, reason = "the members of `savings`")]
    pub fn restore(
        &mut self,
        tokens: f64,
        rate_per_second: f64,
        next_cost: f64,
        paused_for_seconds: f64,
        epoch: f64,
        age_ms: f64,
        now: f64,
    ) {
        let savings = Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch: epoch as u64 };
        self.throttle.restore(&savings, from_ms(age_ms), from_ms(now));
    }

    /// Reads what is in force, as details: level, health and breaker (as codes), `enforced`, `stale`, whether everything
    /// passes, requests on their way, how long the oldest has waited, from and until when a newcomer would wait (never:
    /// unknown), requests per second and in flight (infinite: any number).
    pub fn read(&mut self, now: f64) {
        let state = self.throttle.state(from_ms(now));
        self.note(
            READING,
            &[
                codes::of_level(state.level).into(),
                codes::of_health(state.health).into(),
                codes::of_circuit(state.breaker).into(),
                state.enforced.into(),
                state.stale.into(),
                state.passes_through.into(),
                state.in_flight.into(),
                to_ms(state.oldest_wait),
                or_never(state.eta.map(|eta| eta.earliest)),
                or_never(state.eta.map(|eta| eta.latest)),
                state.rate_per_second.unwrap_or(f64::INFINITY),
                state.limits.concurrency.map_or(f64::INFINITY, f64::from),
            ],
        );
    }

    /// When to ask again whether a request of this route may start; never: it may, and counts.
    pub fn admit(&mut self, route: u32, now: f64) -> f64 {
        or_never(self.routes.admit(&route, from_ms(now)))
    }

    /// Takes in what a response of a route said: its `Retry-After`, and how many `remaining` requests the tightest quota has
    /// until its reset.
    pub fn learn_route(&mut self, route: u32, retry_after_ms: f64, remaining: f64, reset_seconds: f64, now: f64) {
        // `as` saturates and maps NaN to 0.
        let reset = Duration::from_secs(reset_seconds as u64);
        let quota = given(remaining).map(|remaining| Quota { remaining: remaining as u32, reset });
        self.routes.learn(route, RouteSignal { retry_after: given(retry_after_ms).map(from_ms), quota }, from_ms(now));
    }
}

impl Throttle {
    fn keep(&mut self, permit: Permit) -> f64 {
        let id = permit.id().as_u64();
        self.permits.insert(id, permit);
        id as f64
    }

    fn take_in(&mut self, news: &News, now: f64) -> u8 {
        codes::of_configured(self.throttle.configure(news, from_ms(now)))
    }

    fn note_rejection(&mut self, Rejection { reason, retry_after }: Rejection) {
        self.note(REASON, &[codes::of_reason(reason).into()]);
        self.note(RETRY_AFTER, &[or_never(retry_after)]);
    }

    /// Keeps details from this place on.
    fn note(&mut self, place: usize, details: &[f64]) {
        for (kept, detail) in self.details.iter_mut().skip(place).zip(details) {
            *kept = *detail;
        }
    }
}

/// What is not given is not a number: cheaper than an `Option`, which is two.
fn given(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan())
}

const fn at(epoch: f64, version: f64) -> ConfigVersion {
    ConfigVersion { epoch: epoch as u64, version: version as u64 }
}
