//! What an answer's head says to a client.

use std::time::Duration;

use poolgate_throttle::{News, Outcome};
use poolgate_types::{CONFIG_HEADER, ConfigHeader, Problem, codes};
use serde_json::Value;

use crate::{Calendar, retry_after};

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
    /// Reads a head. `header` looks a header up by its name, which is in lower case. `calendar` is asked only if
    /// `Retry-After` is a date.
    pub fn read<T: AsRef<str>>(status: u16, header: impl Fn(&str) -> Option<T>, calendar: &impl Calendar) -> Self {
        // Most answers are no errors, and looking a header up costs something.
        let of_error = |name| if status < 400 { None } else { header(name) };
        Self {
            status,
            config: match header(CONFIG_HEADER) {
                None => Config::Absent,
                Some(text) => text.as_ref().parse().map_or(Config::Malformed, Config::Read),
            },
            retry_after: of_error("retry-after").and_then(|text| {
                let date = header("date");
                retry_after::read(text.as_ref(), date.as_ref().map(AsRef::as_ref), calendar)
            }),
            is_cached: header("age").is_some_and(|age| age.as_ref().trim() != "0"),
            is_problem: of_error("content-type").is_some_and(|kind| kind.as_ref().starts_with(Problem::CONTENT_TYPE)),
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// When the server wants to be asked again, if it says so in an error.
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

    /// Whether the gate may have rejected the request. If so, the [body](Self::is_rejection) tells.
    pub fn may_be_rejection(&self) -> bool {
        matches!(self.status, 429 | 503) && self.config != Config::Absent && !self.is_cached && self.is_problem
    }

    /// Whether the gate rejected the request. A handler behind the gate or a proxy may answer the same status.
    pub fn is_rejection(&self, body: &[u8]) -> bool {
        self.may_be_rejection() && is_the_gates_document(body)
    }

    /// What became of the request.
    pub fn outcome(&self, is_rejected: bool) -> Outcome {
        match self.status {
            _ if is_rejected => Outcome::Rejected { retry_after: self.retry_after },
            // A gateway in front of the server did not reach it.
            502 | 504 if self.config == Config::Absent => Outcome::Failure,
            _ => Outcome::Success,
        }
    }

    /// The epoch of the config that it names.
    pub(crate) fn epoch(&self) -> Option<u64> {
        match self.config {
            Config::Read(header) => Some(header.at.epoch),
            Config::Absent | Config::Malformed => None,
        }
    }
}

/// Whether a problem document is one of the gate's, by its members `code` and `type` as far as they are texts. Where it has
/// no code, its type counts.
pub fn is_the_gates(code: Option<&str>, kind: Option<&str>) -> bool {
    match (code, kind) {
        (Some(code), _) => [codes::DATABASE_UNAVAILABLE, codes::QUOTA_EXCEEDED].contains(&code),
        (None, Some(kind)) => [Problem::TEMPORARY_REDUCED_CAPACITY, Problem::QUOTA_EXCEEDED].contains(&kind),
        (None, None) => false,
    }
}

fn is_the_gates_document(document: &[u8]) -> bool {
    let Ok(problem) = serde_json::from_slice::<Value>(document) else { return false };
    let text = |member| problem.get(member).and_then(Value::as_str);
    is_the_gates(text("code"), text("type"))
}
