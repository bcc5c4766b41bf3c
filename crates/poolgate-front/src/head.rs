//! What an answer's head says to a client.

use std::time::Duration;

use poolgate_throttle::{News, Outcome};
use poolgate_types::{CONFIG_HEADER, ConfigHeader, Problem, codes};
use serde_json::Value;

/// An answer's head, as far as a client learns from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    status: u16,
    config: Config,
    retry_after: Option<Duration>,
    /// It comes from a cache on the way, so it is not news.
    is_cached: bool,
    is_problem: bool,
}

/// What the `Poolgate-Config` header says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Config {
    Absent,
    Malformed,
    Read(ConfigHeader),
}

impl Head {
    /// Reads a head. `header` looks a header up by its name, which is in lower case.
    pub fn read<T: AsRef<str>>(status: u16, header: impl Fn(&str) -> Option<T>) -> Self {
        Self {
            status,
            config: match header(CONFIG_HEADER) {
                None => Config::Absent,
                Some(text) => text.as_ref().parse().map_or(Config::Malformed, Config::Read),
            },
            retry_after: header("retry-after").and_then(|text| seconds(text.as_ref())),
            is_cached: header("age").is_some_and(|age| age.as_ref().trim() != "0"),
            is_problem: header("content-type").is_some_and(|kind| kind.as_ref().starts_with(Problem::CONTENT_TYPE)),
        }
    }

    /// When the server wants to be asked again, where it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What it says about the config.
    pub fn news(&self) -> Option<News> {
        match self.config {
            Config::Read(header) if !self.is_cached => Some(News::Header(header)),
            Config::Absent if (200..300).contains(&self.status) => Some(News::HeaderMissing),
            Config::Read(_) | Config::Absent | Config::Malformed => None,
        }
    }

    /// Whether the gate may have rejected the request. If so, the body tells.
    pub fn may_be_rejection(&self) -> bool {
        matches!(self.status, 429 | 503) && self.config != Config::Absent && !self.is_cached && self.is_problem
    }

    /// What became of the request.
    pub fn outcome(&self, body: &[u8]) -> Outcome {
        if self.is_rejection(body) {
            return Outcome::Rejected { retry_after: self.retry_after };
        }
        match self.status {
            // A gateway in front of the server did not reach it.
            502 | 504 if self.config == Config::Absent => Outcome::Failure,
            _ => Outcome::Success,
        }
    }

    /// Whether the gate rejected the request. A handler behind the gate or a proxy may answer the same status.
    pub(crate) fn is_rejection(&self, body: &[u8]) -> bool {
        self.may_be_rejection() && is_the_gates(body)
    }

    /// The epoch of the config that it names.
    pub(crate) fn epoch(&self) -> Option<u64> {
        match self.config {
            Config::Read(header) => Some(header.at.epoch),
            Config::Absent | Config::Malformed => None,
        }
    }
}

/// Whether a problem document has one of the gate's codes, or where it has no code one of the gate's types.
fn is_the_gates(document: &[u8]) -> bool {
    let Ok(problem) = serde_json::from_slice::<Value>(document) else { return false };
    let text = |member| problem.get(member).and_then(Value::as_str);
    match text("code") {
        Some(code) => [codes::DATABASE_UNAVAILABLE, codes::QUOTA_EXCEEDED].contains(&code),
        None => text("type")
            .is_some_and(|kind| [Problem::TEMPORARY_REDUCED_CAPACITY, Problem::QUOTA_EXCEEDED].contains(&kind)),
    }
}

/// `Retry-After` in seconds, whole or in fractions; of several that proxies have put together, the first. Dates are not
/// read: the gate sends none.
fn seconds(text: &str) -> Option<Duration> {
    let first = text.split(',').next()?.trim();
    let (whole, fraction) = first.split_once('.').unwrap_or((first, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // What is too large for a duration is as long as can be.
    first.parse().ok().map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
