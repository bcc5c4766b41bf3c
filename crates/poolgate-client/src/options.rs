//! What the app chose, read and checked once.

use std::{ops::RangeInclusive, time::Duration};

use js_sys::{Function, Object, Reflect, TypeError};
use poolgate_types::routes;
use wasm_bindgen::prelude::*;

use crate::host::{self, Shell, Url};

/// Names of the options, as `js/index.d.ts` describes them. `wasm` and `coalesce` are the shell's.
const NAMES: [&str; 14] = [
    "baseUrl",
    "transport",
    "pollIntervalMs",
    "throttles",
    "maxQueue",
    "queueTimeoutMs",
    "onOpen",
    "shareAcrossTabs",
    "autoCleanup",
    "honourForeignLimits",
    "coalesce",
    "retries",
    "fetch",
    "wasm",
];

const MAX_QUEUE: RangeInclusive<u32> = 0..=10_000;
const QUEUE_TIMEOUT_MS: RangeInclusive<u32> = 0..=600_000;
const RETRIES: RangeInclusive<u32> = 0..=5;
const POLL_INTERVAL_MS: RangeInclusive<u32> = 1_000..=3_600_000;

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) base: Base,
    pub(crate) transport: Transport,
    pub(crate) poll_interval: Duration,
    pub(crate) throttles: Option<Function>,
    pub(crate) max_queue: usize,
    pub(crate) queue_timeout: Duration,
    pub(crate) on_open: OnOpen,
    pub(crate) auto_cleanup: bool,
    pub(crate) honour_foreign_limits: bool,
    /// How often a request may be tried again.
    pub(crate) retries: u32,
    /// The host's own.
    pub(crate) fetch: Function,
}

/// How configs arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The event stream, polling while there is none.
    Auto,
    /// The event stream alone.
    Sse,
    /// Polling alone.
    Poll,
}

/// What a call gets while the breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOpen {
    Reject,
    Respond,
}

/// Where the Poolgate server is.
#[derive(Debug)]
pub(crate) struct Base {
    /// Compared with the origins of requests.
    pub(crate) origin: JsValue,
    /// Address without query and without the slash at its end.
    prefix: String,
    /// Path before the routes; empty, or begins with a slash.
    path: String,
}

impl Options {
    /// Reads the options; `Err` is a `TypeError` that names the one that is wrong.
    pub(crate) fn read(given: &JsValue, shell: &Shell) -> Result<Self, JsValue> {
        let given = Given::new(given)?;
        for name in given.unknown() {
            shell.warn(&format!("option `{name}` is not known to this version and has no effect"));
        }
        let transport = given
            .choice("transport", &[("auto", Transport::Auto), ("sse", Transport::Sse), ("poll", Transport::Poll)])?;
        // As many streams as tabs would use up the browser's connections.
        let alone = given.boolean("shareAcrossTabs", true)? && !shell.shared().is_truthy();
        given.boolean("coalesce", false)?;
        Ok(Self {
            base: Base::read(&given.get("baseUrl"))?,
            transport: if alone && transport == Transport::Auto { Transport::Poll } else { transport },
            poll_interval: milliseconds(given.number("pollIntervalMs", POLL_INTERVAL_MS, 30_000)?),
            throttles: given.function("throttles")?,
            // wasm32: the widths are the same.
            max_queue: given.number("maxQueue", MAX_QUEUE, 256)? as usize,
            queue_timeout: milliseconds(given.number("queueTimeoutMs", QUEUE_TIMEOUT_MS, 10_000)?),
            on_open: given.choice("onOpen", &[("reject", OnOpen::Reject), ("respond", OnOpen::Respond)])?,
            auto_cleanup: given.boolean("autoCleanup", true)?,
            honour_foreign_limits: given.boolean("honourForeignLimits", false)?,
            retries: given.number("retries", RETRIES, 0)?,
            fetch: match given.function("fetch")? {
                Some(fetch) => fetch,
                None => host::global("fetch")
                    .dyn_into()
                    .map_err(|_| wrong("option `fetch` is needed here: there is none"))?,
            },
        })
    }
}

/// A wait in milliseconds that one request brings.
pub(crate) fn queue_timeout(value: &JsValue) -> Result<Option<Duration>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    let wait = whole(value, &QUEUE_TIMEOUT_MS).map(milliseconds);
    wait.map(Some).ok_or_else(|| out_of_range("`poolgate.queueTimeoutMs`", &QUEUE_TIMEOUT_MS))
}

/// How often one request may be tried again.
pub(crate) fn retries(value: &JsValue) -> Result<Option<u32>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    whole(value, &RETRIES).map(Some).ok_or_else(|| out_of_range("`poolgate.retries`", &RETRIES))
}

/// A `TypeError`, which is what the platform throws for a wrong argument.
pub(crate) fn wrong(message: &str) -> JsValue {
    TypeError::new(&format!("poolgate: {message}")).into()
}

impl Base {
    fn read(given: &JsValue) -> Result<Self, JsValue> {
        let address = if given.is_undefined() {
            Reflect::get(&host::global("location"), &"origin".into()).unwrap_or_default()
        } else {
            given.clone()
        };
        let url = Url::new(&address, &JsValue::UNDEFINED)
            .map_err(|_| wrong("option `baseUrl` must be an absolute URL, and is required where there is no page"))?;
        let (origin, path) = (url.origin().as_string().unwrap_or_default(), JsValue::from(url.pathname()));
        if origin == "null" {
            return Err(wrong("option `baseUrl` must have an origin, such as https://example.com"));
        }
        let path = path.as_string().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { prefix: format!("{origin}{path}"), origin: origin.into(), path })
    }

    /// Address of a route.
    pub(crate) fn route(&self, route: &str) -> String {
        format!("{}{route}", self.prefix)
    }

    /// What the paths of the health API begin with.
    pub(crate) fn health_prefix(&self) -> String {
        format!("{}{}", self.path, routes::HEALTH_PREFIX)
    }
}

/// The options as they were given.
struct Given(JsValue);

impl Given {
    fn new(value: &JsValue) -> Result<Self, JsValue> {
        if value.is_undefined() || value.is_null() {
            Ok(Self(Object::new().into()))
        } else if value.is_object() {
            Ok(Self(value.clone()))
        } else {
            Err(wrong("options must be an object"))
        }
    }

    fn unknown(&self) -> impl Iterator<Item = String> {
        let keys = Object::keys(self.0.unchecked_ref::<Object>());
        keys.iter()
            .filter_map(|key| key.as_string())
            .filter(|key| !NAMES.contains(&key.as_str()))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn get(&self, name: &str) -> JsValue {
        Reflect::get(&self.0, &name.into()).unwrap_or_default()
    }

    fn number(&self, name: &str, range: RangeInclusive<u32>, default: u32) -> Result<u32, JsValue> {
        let value = self.get(name);
        if value.is_undefined() {
            return Ok(default);
        }
        whole(&value, &range).ok_or_else(|| out_of_range(&format!("option `{name}`"), &range))
    }

    fn boolean(&self, name: &str, default: bool) -> Result<bool, JsValue> {
        let value = self.get(name);
        if value.is_undefined() {
            return Ok(default);
        }
        value.as_bool().ok_or_else(|| wrong(&format!("option `{name}` must be true or false")))
    }

    fn function(&self, name: &str) -> Result<Option<Function>, JsValue> {
        let value = self.get(name);
        if value.is_undefined() {
            return Ok(None);
        }
        value.dyn_into().map(Some).map_err(|_| wrong(&format!("option `{name}` must be a function")))
    }

    /// One of several words; the first is the default.
    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, JsValue> {
        let value = self.get(name);
        let word =
            if value.is_undefined() { choices.first().map(|(word, _)| (*word).to_owned()) } else { value.as_string() };
        choices.iter().find(|(choice, _)| word.as_deref() == Some(choice)).map(|(_, value)| *value).ok_or_else(|| {
            let words = choices.iter().fold(String::new(), |words, (word, _)| {
                let comma = if words.is_empty() { "" } else { ", " };
                words + comma + "\"" + word + "\""
            });
            wrong(&format!("option `{name}` must be one of {words}"))
        })
    }
}

/// A whole number within the range.
fn whole(value: &JsValue, range: &RangeInclusive<u32>) -> Option<u32> {
    let number = value.as_f64()?;
    // `as` saturates and maps NaN to 0; the comparison finds what that changed.
    let whole = number as u32;
    (f64::from(whole) == number && range.contains(&whole)).then_some(whole)
}

fn out_of_range(what: &str, range: &RangeInclusive<u32>) -> JsValue {
    wrong(&format!("{what} must be a whole number from {} to {}", range.start(), range.end()))
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}
