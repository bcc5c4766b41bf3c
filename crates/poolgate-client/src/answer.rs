//! What a response's head says about the server.

use std::time::Duration;

use poolgate_throttle::{News, Outcome};
use poolgate_types::{CONFIG_HEADER, ConfigHeader};
use wasm_bindgen::prelude::*;

use crate::{
    clock,
    host::{Answer, AnswerHeaders},
};

/// Longest pause that one `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Reads heads, and remembers the last header: while nothing changes, no string crosses from JavaScript.
#[derive(Debug)]
pub(crate) struct Reader {
    config_name: JsValue,
    age_name: JsValue,
    retry_after_name: JsValue,
    last: Option<(JsValue, Option<ConfigHeader>)>,
}

/// One head, read.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) outcome: Outcome,
    pub(crate) news: Option<News>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            config_name: CONFIG_HEADER.into(),
            age_name: "age".into(),
            retry_after_name: "retry-after".into(),
            last: None,
        }
    }

    /// Reads what the app's fetch promise was fulfilled with. Whatever it is: the server was reached.
    pub(crate) fn read(&mut self, answer: &JsValue) -> Head {
        let silent = Head { outcome: Outcome::Success, news: None };
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
                200..=299 => Head { outcome: Outcome::Success, news: Some(News::HeaderMissing) },
                // A gateway in front of the server did not reach it.
                502 | 504 => Head { outcome: Outcome::Failure, news: None },
                _ => silent,
            };
        }
        let outcome = match status {
            429 | 503 => retry_after(&get(headers, &self.retry_after_name)),
            _ => None,
        };
        let outcome = match outcome {
            Some(wait) => Outcome::Rejected { retry_after: Some(wait) },
            None => Outcome::Success,
        };
        // From a cache on the way, so not news.
        let cached = get(headers, &self.age_name).as_string().is_some_and(|age| age.trim() != "0");
        let news = if cached { None } else { self.header(text).map(News::Header) };
        Head { outcome, news }
    }

    fn header(&mut self, text: JsValue) -> Option<ConfigHeader> {
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

/// The `Retry-After` of an answer.
pub(crate) fn retry_after_of(answer: &Answer) -> Option<Duration> {
    let headers = answer.headers().ok().filter(JsValue::is_object)?;
    retry_after(&get(headers.unchecked_ref(), &"retry-after".into()))
}

fn get(headers: &AnswerHeaders, name: &JsValue) -> JsValue {
    headers.get(name).unwrap_or_default()
}

/// Seconds, or an HTTP date; what is malformed is ignored.
fn retry_after(value: &JsValue) -> Option<Duration> {
    let text = value.as_string()?;
    let text = text.trim();
    let wait = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => match js_sys::Date::parse(text) {
            date if date.is_nan() => return None,
            date => clock::from_ms(date - js_sys::Date::now()),
        },
    };
    Some(wait.min(LONGEST_PAUSE))
}
