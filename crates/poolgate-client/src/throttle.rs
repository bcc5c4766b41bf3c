//! [`poolgate_throttle::Throttle`] for JavaScript.

use poolgate_throttle::{
    Backoff, Event, News, Outcome, Permit, RejectReason, Rejection, Request, Savings, Settings, Share, Submitted,
};
use poolgate_types::{ConfigHeader, ConfigVersion, Reason, ThrottlingConfig};
use wasm_bindgen::prelude::*;

use crate::{
    codes,
    table::Table,
    time::{from_ms, or_never, to_ms},
};

/// Decides which request of one client starts when. Every time is in milliseconds since any moment.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Throttle {
    throttle: poolgate_throttle::Throttle,
    /// Of requests on their way.
    permits: Table<Permit>,
    /// The request that the last event was about.
    id: u64,
    /// What the last event changed to.
    value: u8,
    /// The last rejection.
    rejection: Rejection,
    backoff: Backoff,
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
            permits: Table::new(),
            id: 0,
            value: 0,
            rejection: Rejection { reason: RejectReason::Closed, retry_after: None },
            backoff: Backoff::default(),
        }
    }

    /// Asks to send a request. Gives its id if it may start, minus its id if it waits, and 0 if it is rejected: then
    /// [`reason`](Self::reason) and [`retry_after`](Self::retry_after) say more. Then drain [`poll`](Self::poll).
    pub fn submit(&mut self, priority: u8, bypass: bool, queue_timeout_ms: Option<f64>, now: f64) -> f64 {
        let queue_timeout = queue_timeout_ms.map(from_ms);
        let request = Request { priority: codes::priority(priority), queue_timeout, bypass };
        match self.throttle.submit(request, from_ms(now)) {
            Submitted::Start(permit) => self.keep(permit),
            // Ids count up from 1, far from 2^53.
            Submitted::Queued(id) => -(id.as_u64() as f64),
            Submitted::Rejected(rejection) => {
                self.rejection = rejection;
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

    /// The next thing to act on, until it gives 0: start the request [`id`](Self::id) (1), reject it (2); the level (3), the
    /// breaker (4) or staleness (5) has changed to [`value`](Self::value).
    pub fn poll(&mut self, now: f64) -> u8 {
        match self.throttle.poll(from_ms(now)) {
            None => 0,
            Some(Event::Start(id, permit)) => {
                self.id = id.as_u64();
                self.keep(permit);
                1
            }
            Some(Event::Rejected(id, rejection)) => {
                self.id = id.as_u64();
                self.rejection = rejection;
                2
            }
            Some(Event::LevelChanged { to, .. }) => {
                self.value = codes::of_level(to);
                3
            }
            Some(Event::BreakerChanged { to, .. }) => {
                self.value = codes::of_circuit(to);
                4
            }
            Some(Event::StaleChanged(stale)) => {
                self.value = stale.into();
                5
            }
            // There is no other yet; it would be nothing to act on.
            Some(_) => 6,
        }
    }

    /// When [`poll`](Self::poll) must be called again though nothing else happened.
    pub fn next_wakeup(&self) -> f64 {
        or_never(self.throttle.next_wakeup())
    }

    /// The request of the last event.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> f64 {
        self.id as f64
    }

    /// What the last event changed to.
    #[wasm_bindgen(getter)]
    pub fn value(&self) -> u8 {
        self.value
    }

    /// Why the last one was rejected.
    #[wasm_bindgen(getter)]
    pub fn reason(&self) -> u8 {
        codes::of_reason(self.rejection.reason)
    }

    /// After how long another attempt may succeed.
    #[wasm_bindgen(getter)]
    pub fn retry_after(&self) -> f64 {
        or_never(self.rejection.retry_after)
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
        fair_rate_per_second: Option<f64>,
        poll_after_seconds: u32,
        ttl_seconds: u32,
        retry_after_seconds: Option<u32>,
        probe_fraction: Option<f64>,
        now: f64,
    ) -> u8 {
        let ConfigVersion { epoch, version } = at(epoch, version);
        self.learn(
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
                fair_rate_per_second,
                poll_after_seconds,
                ttl_seconds,
                retry_after_seconds,
                probe_fraction,
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
        interval_ms: Option<u32>,
        concurrency: u32,
        open: bool,
        now: f64,
    ) -> u8 {
        let level = codes::level(level);
        self.learn(&News::Header(ConfigHeader { at: at(epoch, version), level, interval_ms, concurrency, open }), now)
    }

    /// This version is current.
    pub fn learn_current(&mut self, epoch: f64, version: f64, now: f64) -> u8 {
        self.learn(&News::Current(at(epoch, version)), now)
    }

    /// The config could not be fetched.
    pub fn learn_no_contact(&mut self, now: f64) -> u8 {
        self.learn(&News::NoContact, now)
    }

    /// The server has no config.
    pub fn learn_not_found(&mut self, now: f64) -> u8 {
        self.learn(&News::NotFound, now)
    }

    /// A gated request succeeded, and its response said nothing about a config.
    pub fn learn_header_missing(&mut self, now: f64) -> u8 {
        self.learn(&News::HeaderMissing, now)
    }

    /// The client is closed.
    pub fn learn_closed(&mut self, now: f64) -> u8 {
        self.learn(&News::Closed, now)
    }

    /// The gate rejected a request, and said when to return.
    pub fn turned_away(&mut self, retry_after_ms: Option<f64>, now: f64) {
        self.throttle.turned_away(retry_after_ms.map(from_ms), from_ms(now));
    }

    /// How long a request that failed waits before another attempt; never, if there is none. `last_ms` is the
    /// [`backoff`](Self::backoff) of that request's last attempt, 0 at first.
    pub fn retry(&mut self, last_ms: f64, retry_after_ms: Option<f64>, now: f64) -> f64 {
        self.backoff = Backoff { last: from_ms(last_ms) };
        or_never(self.throttle.retry(&mut self.backoff, retry_after_ms.map(from_ms), from_ms(now)))
    }

    /// What the same request brings to its next [`retry`](Self::retry).
    #[wasm_bindgen(getter)]
    pub fn backoff(&self) -> f64 {
        to_ms(self.backoff.last)
    }

    /// Uses `held` of `of` slots from now on, or with 0 for `of` all but `held`, and the tokens that others gave up; gives
    /// those that go to others. Then drain [`poll`](Self::poll).
    pub fn set_share(&mut self, held: u32, of: u32, tokens: f64, now: f64) -> f64 {
        let share = if of == 0 { Share::AllBut(held) } else { Share::Slots { held, of } };
        self.throttle.set_share(share, tokens, from_ms(now))
    }

    /// What is left of the budget, to be stored; empty: nothing that a newcomer would not have.
    pub fn savings(&self, now: f64) -> Vec<f64> {
        self.throttle.savings(from_ms(now)).map_or_else(Vec::new, |savings| {
            let Savings { tokens, rate_per_second, next_cost, paused_for_seconds, epoch } = savings;
            // Unix milliseconds.
            vec![tokens, rate_per_second, next_cost, paused_for_seconds, epoch as f64]
        })
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

    /// What is in force: level, health and breaker (as codes), `enforced`, `stale`, whether everything passes, requests on
    /// their way, how long the oldest has waited, from and until when a newcomer would wait (never: unknown), requests per
    /// second and in flight (infinite: any number).
    pub fn state(&self, now: f64) -> Vec<f64> {
        let state = self.throttle.state(from_ms(now));
        vec![
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
        ]
    }
}

impl Throttle {
    fn keep(&mut self, permit: Permit) -> f64 {
        let id = permit.id().as_u64();
        self.permits.insert(id, permit);
        id as f64
    }

    fn learn(&mut self, news: &News, now: f64) -> u8 {
        codes::of_configured(self.throttle.configure(news, from_ms(now)))
    }
}

const fn at(epoch: f64, version: f64) -> ConfigVersion {
    ConfigVersion { epoch: epoch as u64, version: version as u64 }
}
