//! [`poolgate_throttle::Throttle`] and [`poolgate_throttle::RouteLimits`] for JavaScript.

use std::time::Duration;

use poolgate_throttle::{
    Backoff, Event, News, Outcome, Permit, Quota, Rejection, Request, RouteLimits, RouteSignal, Savings, Settings,
    Share, Submitted,
};
use poolgate_types::{ConfigHeader, ConfigVersion, Reason, ThrottlingConfig};
use wasm_bindgen::prelude::*;

use crate::{
    codes::{self, detail, event, news, outcome},
    table::Table,
    time::{from_ms, or_never, to_ms},
};

/// Decides which request of one client starts when. All times are in milliseconds since any fixed moment.
///
/// Only numbers cross: NaN stands for a missing argument, a result is one number, and further results are
/// [details](Self::detail), which stay until another call replaces them. The codes are in `js/contract.js`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Throttle {
    throttle: poolgate_throttle::Throttle,
    /// The limits of single routes. JavaScript names a route by a number.
    routes: RouteLimits<f64>,
    /// The permits of requests in flight.
    permits: Table<Permit>,
    details: [f64; 15],
}

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

    /// One of the numbers that calls give besides their result.
    pub fn detail(&self, place: usize) -> f64 {
        self.details.get(place).copied().unwrap_or_default()
    }

    /// Asks to send a request. Returns its id if it may start, minus its id if it waits, and 0 if it is rejected; then the
    /// details are the reason, and after how long another attempt may succeed. Then drain [`poll`](Self::poll).
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

    /// The request has ended: the server was reached (success), it was not (failure), or the app gave up (aborted). Then
    /// drain [`poll`](Self::poll).
    pub fn complete(&mut self, id: f64, outcome: u8, now: f64) {
        if let Some(permit) = self.permits.remove(id as u64) {
            let outcome = match outcome {
                outcome::SUCCESS => Outcome::Success,
                outcome::FAILURE => Outcome::Failure,
                _ => Outcome::Aborted,
            };
            self.throttle.complete(permit, outcome, from_ms(now));
        }
    }

    /// The app has given up a request that waits. Then drain [`poll`](Self::poll).
    pub fn abort(&mut self, id: f64, now: f64) {
        self.throttle.abort((id as u64).into(), from_ms(now));
    }

    /// The next event to act on; 0: there is none. A detail is the event's subject: the request, or the new state. For a
    /// rejected request the details are those of [`submit`](Self::submit) as well.
    pub fn poll(&mut self, now: f64) -> u8 {
        let (event, subject) = match self.throttle.poll(from_ms(now)) {
            None => return 0,
            Some(Event::Start(_, permit)) => (event::START, self.keep(permit)),
            Some(Event::Rejected(id, rejection)) => {
                self.note_rejection(rejection);
                (event::REJECT, id.as_u64() as f64)
            }
            Some(Event::LevelChanged { to, .. }) => (event::LEVEL, codes::of_level(to).into()),
            Some(Event::BreakerChanged { to, .. }) => (event::BREAKER, codes::of_circuit(to).into()),
            Some(Event::StaleChanged(stale)) => (event::STALE, stale.into()),
            Some(Event::Ask) => (event::ASK, 0.0),
            // There is no other yet, and JavaScript would ignore it.
            Some(_) => (event::OTHER, 0.0),
        };
        self.note(detail::SUBJECT, &[subject]);
        event
    }

    /// When to call [`poll`](Self::poll) again if nothing else happens before.
    pub fn next_wakeup(&self) -> f64 {
        or_never(self.throttle.next_wakeup())
    }

    /// Takes in a config document. Like the other `learn` methods it returns what became of the news: applied, missed (there
    /// is a newer config to fetch), unchanged, or invalid (out of range).
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
                // It only explains; the app finds it in the document itself.
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

    /// The server has said that this version is in force.
    pub fn learn_current(&mut self, epoch: f64, version: f64, now: f64) -> u8 {
        self.take_in(&News::Current(at(epoch, version)), now)
    }

    /// Takes in news without content: the config could not be fetched (no contact), the server has none (not found), a request
    /// succeeded and its response had no config header (header missing), or the client is closed.
    pub fn learn(&mut self, news: u8, now: f64) -> u8 {
        let news = match news {
            news::NO_CONTACT => News::NoContact,
            news::NOT_FOUND => News::NotFound,
            news::HEADER_MISSING => News::HeaderMissing,
            _ => News::Closed,
        };
        self.take_in(&news, now)
    }

    /// The gate of the server with this epoch (0: unknown) has rejected a request and said when to return.
    pub fn turned_away(&mut self, retry_after_ms: f64, epoch: f64, now: f64) {
        let by = Some(epoch as u64).filter(|epoch| *epoch > 0);
        self.throttle.turned_away(given(retry_after_ms).map(from_ms), by, from_ms(now));
    }

    /// How long a failed request waits before another attempt; infinite: it gets none. A detail is the `last_ms` of the same
    /// request's next retry; the first one is 0.
    pub fn retry(&mut self, last_ms: f64, retry_after_ms: f64, now: f64) -> f64 {
        let mut backoff = Backoff { last: from_ms(last_ms) };
        let wait = self.throttle.retry(&mut backoff, given(retry_after_ms).map(from_ms), from_ms(now));
        self.note(detail::SUBJECT, &[to_ms(backoff.last)]);
        or_never(wait)
    }

    /// Uses `held` of `of` slots from now on (with 0 for `of`, all slots but `held`) and tokens that others gave up; returns
    /// the tokens that go to others. Then drain [`poll`](Self::poll).
    pub fn set_share(&mut self, held: u32, of: u32, tokens: f64, now: f64) -> f64 {
        let share = if of == 0 { Share::AllBut(held) } else { Share::Slots { held, of } };
        self.throttle.set_share(share, tokens, from_ms(now))
    }

    /// The budget, to be stored, as five details; `false`: a new client would have the same.
    pub fn savings(&mut self, now: f64) -> bool {
        let savings = self.throttle.savings(from_ms(now));
        if let Some(Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch }) = savings {
            // Unix milliseconds.
            self.note(detail::READING, &[tokens, rate_per_second, next_cost, paused_for_seconds, epoch as f64]);
        }
        savings.is_some()
    }

    /// Continues with the budget that was stored `age_ms` ago.
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
    /// passes, requests in flight, the longest wait so far, the earliest and latest end of a new request's wait (infinite:
    /// unknown), and the limits for requests per second and in flight (infinite: none).
    pub fn read(&mut self, now: f64) {
        let state = self.throttle.state(from_ms(now));
        self.note(
            detail::READING,
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

    /// When to ask again whether a request of this route may start; infinite: it may, and counts. Any number
    /// can name a route.
    pub fn admit(&mut self, route: f64, now: f64) -> f64 {
        or_never(self.routes.admit(&route, from_ms(now)))
    }

    /// Takes in what a response of a route said: its `Retry-After`, and the remaining requests of the tightest quota until its
    /// reset.
    pub fn learn_route(&mut self, route: f64, retry_after_ms: f64, remaining: f64, reset_seconds: f64, now: f64) {
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
        self.note(detail::REASON, &[codes::of_reason(reason).into()]);
        self.note(detail::RETRY_AFTER, &[or_never(retry_after)]);
    }

    /// Keeps details from this place on.
    fn note(&mut self, place: u8, details: &[f64]) {
        for (kept, detail) in self.details.iter_mut().skip(place.into()).zip(details) {
            *kept = *detail;
        }
    }
}

/// NaN stands for a missing argument: an `Option` would cross as two numbers.
fn given(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan())
}

const fn at(epoch: f64, version: f64) -> ConfigVersion {
    ConfigVersion { epoch: epoch as u64, version: version as u64 }
}
