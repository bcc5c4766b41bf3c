//! The config document, read member by member: serde's way through JavaScript values costs 20 KB of compressed code.

use std::time::Duration;

use js_sys::Reflect;
use poolgate_types::{ConfigVersion, Health, Level, Reason, ThrottlingConfig};
use wasm_bindgen::prelude::*;

/// A config as it came: what the throttle reads, and the object itself for the app, with members that this version
/// does not know.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) config: ThrottlingConfig,
    pub(crate) raw: JsValue,
}

impl Document {
    /// Reads a parsed document; `None` when a member is missing or of the wrong type. Ranges are the throttle's matter.
    pub(crate) fn read(raw: &JsValue) -> Option<Self> {
        let ConfigVersion { epoch, version } = version(raw)?;
        let config = ThrottlingConfig {
            throttling_level: Level::from_wire(&text(raw, "throttling_level")?),
            max_concurrent_requests: small(raw, "max_concurrent_requests")?,
            max_requests_per_minute: small(raw, "max_requests_per_minute")?,
            request_delay_ms: small(raw, "request_delay_ms")?,
            circuit_breaker_open: flag(raw, "circuit_breaker_open")?,
            emergency_mode_active: flag(raw, "emergency_mode_active")?,
            epoch,
            version,
            health: health(&text(raw, "health")?)?,
            enforced: flag(raw, "enforced")?,
            fair_rate_per_second: optional(raw, "fair_rate_per_second", JsValue::as_f64)?,
            poll_after_seconds: small(raw, "poll_after_seconds")?,
            ttl_seconds: small(raw, "ttl_seconds")?,
            retry_after_seconds: optional(raw, "retry_after_seconds", small_value)?,
            probe_fraction: optional(raw, "probe_fraction", JsValue::as_f64)?,
            // It explains and does not act; the app finds it in the object itself.
            reason: text(raw, "reason").map(|_| Reason::Other)?,
        };
        Some(Self { config, raw: raw.clone() })
    }
}

/// The two members that order configs.
pub(crate) fn version(raw: &JsValue) -> Option<ConfigVersion> {
    Some(ConfigVersion { epoch: large(raw, "epoch")?, version: large(raw, "version")? })
}

/// What a heartbeat or a goodbye says about coming back.
pub(crate) fn return_within(raw: &JsValue) -> Option<Duration> {
    small(raw, "return_within_ms").map(|milliseconds| Duration::from_millis(milliseconds.into()))
}

fn member(raw: &JsValue, name: &str) -> JsValue {
    // Fails for what is no object.
    Reflect::get(raw, &name.into()).unwrap_or_default()
}

fn text(raw: &JsValue, name: &str) -> Option<String> {
    member(raw, name).as_string()
}

fn flag(raw: &JsValue, name: &str) -> Option<bool> {
    member(raw, name).as_bool()
}

fn small(raw: &JsValue, name: &str) -> Option<u32> {
    small_value(&member(raw, name))
}

fn small_value(value: &JsValue) -> Option<u32> {
    let number = value.as_f64()?;
    // `as` saturates and maps NaN to 0; the comparison finds what that changed.
    let whole = number as u32;
    (f64::from(whole) == number).then_some(whole)
}

fn large(raw: &JsValue, name: &str) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = member(raw, name).as_f64()?;
    ((0.0..EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// `Some(None)` for a member that is absent or `null`, `None` for one of the wrong type.
fn optional<T>(raw: &JsValue, name: &str, read: fn(&JsValue) -> Option<T>) -> Option<Option<T>> {
    let value = member(raw, name);
    if value.is_null() || value.is_undefined() { Some(None) } else { read(&value).map(Some) }
}

fn health(word: &str) -> Option<Health> {
    match word {
        "HEALTHY" => Some(Health::Healthy),
        "DEGRADED" => Some(Health::Degraded),
        "CRITICAL" => Some(Health::Critical),
        _ => None,
    }
}
