//! What the client tells: its `state` and the details of its events, as plain JavaScript objects. `js/index.d.ts`
//! describes them.

use js_sys::{Object, Reflect};
use poolgate_throttle::Eta;
use poolgate_types::{CircuitState, Health, Level};
use wasm_bindgen::prelude::*;

use crate::clock;

/// How the client learns of configs at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TransportKind {
    /// Not yet, or no more.
    #[default]
    None,
    /// The event stream is open.
    Sse,
    /// It asks from time to time.
    Poll,
    /// Another client of this browser hears them and hands them on.
    Shared,
}

/// How well the client is informed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) stale: bool,
    pub(crate) transport: TransportKind,
}

impl TransportKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sse => "sse",
            Self::Poll => "poll",
            Self::Shared => "shared",
        }
    }
}

/// `ClientState`; `config` is the newest document as it came.
pub(crate) fn client_state(
    throttle: &poolgate_throttle::State,
    queued: usize,
    config: Option<&JsValue>,
    transport: TransportKind,
) -> JsValue {
    object(&[
        ("level", throttle.level.as_str().into()),
        ("health", health(throttle.health).into()),
        ("breaker", circuit(throttle.breaker).into()),
        ("enforced", throttle.enforced.into()),
        ("config", config.cloned().unwrap_or(JsValue::NULL)),
        ("inFlight", throttle.in_flight.into()),
        ("queued", count(queued)),
        ("oldestWaitMs", clock::to_ms(throttle.oldest_wait).into()),
        ("etaMs", throttle.eta.map_or(JsValue::NULL, eta)),
        ("stale", throttle.stale.into()),
        ("transport", transport.as_str().into()),
        ("ratePerSecond", throttle.rate_per_second.map_or(JsValue::NULL, Into::into)),
    ])
}

fn eta(eta: Eta) -> JsValue {
    object(&[("earliest", clock::to_ms(eta.earliest).into()), ("latest", clock::to_ms(eta.latest).into())])
}

/// Detail of `levelchange`.
pub(crate) fn level_change(from: Level, to: Level) -> JsValue {
    object(&[("from", from.as_str().into()), ("to", to.as_str().into())])
}

/// Detail of `breakerchange`.
pub(crate) fn breaker_change(from: CircuitState, to: CircuitState) -> JsValue {
    object(&[("from", circuit(from).into()), ("to", circuit(to).into())])
}

/// Detail of `queuechange`.
pub(crate) fn queue_change(queued: usize, in_flight: u32) -> JsValue {
    object(&[("queued", count(queued)), ("inFlight", in_flight.into())])
}

/// Detail of `syncchange`.
pub(crate) fn contact_change(contact: Contact) -> JsValue {
    object(&[("stale", contact.stale.into()), ("transport", contact.transport.as_str().into())])
}

fn object(members: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in members {
        // A fresh plain object takes every member.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

fn count(number: usize) -> JsValue {
    // The queue's bound is far below 2^32.
    JsValue::from_f64(number as f64)
}

const fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "HEALTHY",
        Health::Degraded => "DEGRADED",
        Health::Critical => "CRITICAL",
    }
}

const fn circuit(state: CircuitState) -> &'static str {
    match state {
        CircuitState::Closed => "closed",
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half_open",
    }
}
