//! What a response's head says about the server.

use std::time::Duration;

use js_sys::Promise;
use poolgate_throttle::{News, Outcome, Quota, RouteSignal};
use poolgate_types::{CONFIG_HEADER, ConfigHeader, Problem, codes};
use wasm_bindgen::prelude::*;

use crate::{
    clock,
    host::{Answer, AnswerHeaders},
    rate_limit,
};

/// Reads heads, and remembers the last header: while nothing changes, no string crosses from JavaScript.
#[derive(Debug)]
pub(crate) struct Reader {
    config_name: JsValue,
    age_name: JsValue,
    last: Option<(JsValue, Option<ConfigHeader>)>,
}

/// One head, read.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) outcome: Outcome,
    pub(crate) news: Option<News>,
    /// It could be a rejection by the gate.
    pub(crate) rejects: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { config_name: CONFIG_HEADER.into(), age_name: "age".into(), last: None }
    }

    /// Reads what the app's fetch promise was fulfilled with. Whatever it is: the server was reached.
    pub(crate) fn read(&mut self, answer: &JsValue) -> Head {
        let silent = Head { outcome: Outcome::Success, news: None, rejects: false };
        if !answer.is_object() {
            return silent;
        }
        let answer: &Answer = answer.unchecked_ref();
        let status = status(answer);
        let headers = match answer.headers() {
            Ok(headers) if headers.is_object() => headers,
            _ => return silent,
        };
        let headers: &AnswerHeaders = headers.unchecked_ref();
        let text = get(headers, &self.config_name);
        if text.is_null() || text.is_undefined() {
            return match status {
                200..=299 => Head { news: Some(News::HeaderMissing), ..silent },
                // A gateway in front of the server did not reach it.
                502 | 504 => Head { outcome: Outcome::Failure, ..silent },
                _ => silent,
            };
        }
        // From a cache on the way, so not news.
        if is_cached(headers, &self.age_name) {
            return silent;
        }
        Head { news: self.header(text).map(News::Header), rejects: matches!(status, 429 | 503), ..silent }
    }

    /// The last header, as it came.
    pub(crate) fn last_header(&self) -> JsValue {
        self.last.as_ref().map_or(JsValue::UNDEFINED, |(text, _)| text.clone())
    }

    /// Reads a header.
    pub(crate) fn header(&mut self, text: JsValue) -> Option<ConfigHeader> {
        match &self.last {
            Some((last, header)) if *last == text => *header,
            _ => {
                let header = text.as_string().and_then(|text| text.parse().ok());
                self.last = Some((text, header));
                header
            }
        }
    }
}

/// The status, 0 where there is none.
pub(crate) fn status(answer: &Answer) -> u16 {
    // `as` saturates and maps NaN to 0.
    answer.status().ok().and_then(|status| status.as_f64()).unwrap_or(0.0) as u16
}

/// The body of an answer, parsed. What is no promise becomes one: an app's own fetch may answer with anything.
pub(crate) fn json(answer: &Answer) -> Result<Promise, JsValue> {
    answer.json().map(|parsed| Promise::resolve(&parsed))
}

/// The `Retry-After` of an answer.
pub(crate) fn retry_after_of(answer: &Answer) -> Option<Duration> {
    retry_after(&get(&headers_of(answer)?, &"retry-after".into()))
}

/// What an answer asks whoever sent the request to do, unless it comes from a cache.
pub(crate) fn signal(answer: &JsValue) -> RouteSignal {
    let nothing = RouteSignal::default();
    if !answer.is_object() {
        return nothing;
    }
    let answer: &Answer = answer.unchecked_ref();
    let Some(headers) = headers_of(answer) else { return nothing };
    if is_cached(&headers, &"age".into()) {
        return nothing;
    }
    let text = |name: &str| get(&headers, &name.into()).as_string();
    let rejects = matches!(status(answer), 413 | 429 | 503);
    RouteSignal {
        retry_after: rejects.then(|| retry_after_of(answer)).flatten(),
        quota: text("ratelimit").and_then(|limit| rate_limit::tightest(&limit, text("ratelimit-policy").as_deref())),
    }
}

/// When to return, as a rejection has it.
pub(crate) fn wait_of(signal: RouteSignal) -> Option<Duration> {
    let until_reset = |quota: Quota| (quota.remaining == 0).then_some(quota.reset);
    signal.retry_after.or(signal.quota.and_then(until_reset))
}

/// The document of what may be a rejection by the gate, as far as the head says; a handler behind the gate may answer the
/// same. It is read from a clone: the app's own copy of the body stays unread.
pub(crate) fn problem(answer: &JsValue) -> Option<Promise> {
    let answer: &Answer = answer.is_object().then(|| answer.unchecked_ref())?;
    let headers = headers_of(answer).filter(|_| matches!(status(answer), 429 | 503))?;
    let has =
        |name: &str, start: &str| get(&headers, &name.into()).as_string().is_some_and(|text| text.starts_with(start));
    if !has(CONFIG_HEADER, "") || !has("content-type", Problem::CONTENT_TYPE) || is_cached(&headers, &"age".into()) {
        return None;
    }
    answer.duplicate().and_then(|copy| json(&copy)).ok()
}

/// Whether it is: the document has one of the gate's codes.
pub(crate) fn is_the_gates(problem: &JsValue) -> bool {
    let text = |name: &str| js_sys::Reflect::get(problem, &name.into()).ok().and_then(|value| value.as_string());
    match text("code") {
        Some(code) => code == codes::DATABASE_UNAVAILABLE || code == codes::QUOTA_EXCEEDED,
        None => text("type")
            .is_some_and(|kind| kind == Problem::TEMPORARY_REDUCED_CAPACITY || kind == Problem::QUOTA_EXCEEDED),
    }
}

fn headers_of(answer: &Answer) -> Option<AnswerHeaders> {
    answer.headers().ok().filter(JsValue::is_object).map(JsValue::unchecked_into)
}

fn is_cached(headers: &AnswerHeaders, age_name: &JsValue) -> bool {
    get(headers, age_name).as_string().is_some_and(|age| age.trim() != "0")
}

fn get(headers: &AnswerHeaders, name: &JsValue) -> JsValue {
    headers.get(name).unwrap_or_default()
}

/// Seconds, or an HTTP date; what is malformed is ignored.
fn retry_after(value: &JsValue) -> Option<Duration> {
    let text = value.as_string()?;
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    // The engine's parser takes almost anything for a date; HTTP's end in GMT.
    let date = js_sys::Date::parse(text);
    (text.ends_with(" GMT") && !date.is_nan()).then(|| clock::from_ms(date - js_sys::Date::now()))
}
