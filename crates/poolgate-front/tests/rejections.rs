//! Which answers are rejections by the gate: the table that the browser's client is held against as well.

use std::time::{Duration, SystemTime};

use poolgate_front::{Calendar, Head};
use poolgate_throttle::{News, Outcome};
use serde_json::Value;

/// Tue, 01 Dec 2026 12:00:00 GMT, since 1970.
const TODAY: Duration = Duration::from_secs(1_796_126_400);

struct Today;

impl Calendar for Today {
    fn today(&self) -> Duration {
        TODAY
    }

    fn read(&self, date: &str) -> Option<Duration> {
        httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> Head {
    Head::read(status, |name| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value), &Today)
}

#[test]
fn the_gates_rejections_are_told_from_those_of_others() {
    let table: Value = serde_json::from_str(include_str!("../../../tests/fixtures/rejections.json")).expect("JSON");
    for case in table.as_array().expect("a list") {
        let status = case["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
        let head = Head::read(status, |name| case["headers"][name].as_str(), &Today);
        let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let is_rejected = head.is_rejection(body.as_bytes());
        assert_eq!(Some(is_rejected), case["by_the_gate"].as_bool(), "{}", case["name"]);
        assert!(!is_rejected || head.may_be_rejection(), "{}", case["name"]);
    }
}

#[test]
fn retry_after_is_read_in_every_form() {
    let table: Value = serde_json::from_str(include_str!("../../../tests/fixtures/retry-after.json")).expect("JSON");
    for case in table.as_array().expect("a list") {
        let head = Head::read(503, |name| case[name.replace('-', "_")].as_str(), &Today);
        assert_eq!(head.retry_after(), case["seconds"].as_f64().map(Duration::from_secs_f64), "{case}");
    }
    let without_end = head(503, &[("retry-after", "99999999999999999999")]);
    assert_eq!(without_end.retry_after(), Some(Duration::MAX));
    assert_eq!(head(200, &[("retry-after", "5")]).retry_after(), None, "it is no error");
}

#[test]
fn a_rejection_says_when_to_return() {
    let headers = [
        ("retry-after", "5"),
        ("poolgate-config", "e=5, v=7, level=NORMAL, concurrency=10, open=?0"),
        ("content-type", "application/problem+json"),
    ];
    let head = head(503, &headers);
    let outcome = head.outcome(head.is_rejection(br#"{"code":"database_unavailable"}"#));
    assert_eq!(outcome, Outcome::Rejected { retry_after: Some(Duration::from_secs(5)) });
}

#[test]
fn a_head_is_news_about_the_config() {
    let config = ("poolgate-config", "e=5, v=7, level=NORMAL, concurrency=10, open=?0");
    assert!(matches!(head(200, &[config]).news(), Some(News::Header(header)) if header.at.version == 7));
    assert!(matches!(head(503, &[config]).news(), Some(News::Header(_))));
    assert_eq!(head(200, &[]).news(), Some(News::HeaderMissing));
    assert_eq!(head(500, &[]).news(), None, "only a success says that there is no Poolgate");
    assert_eq!(head(200, &[("poolgate-config", "nonsense")]).news(), None);
    assert_eq!(head(200, &[config, ("age", "3")]).news(), None, "a cache's answer is old");
    assert!(head(200, &[config, ("age", "0")]).news().is_some());
}

#[test]
fn a_gateway_that_does_not_reach_the_server_is_no_contact() {
    let config = ("poolgate-config", "e=5, v=7, level=NORMAL, concurrency=10, open=?0");
    for (status, outcome) in
        [(200, Outcome::Success), (500, Outcome::Success), (502, Outcome::Failure), (504, Outcome::Failure)]
    {
        assert_eq!(head(status, &[]).outcome(false), outcome, "{status}");
        assert_eq!(head(status, &[config]).outcome(false), Outcome::Success, "{status} from the server itself");
    }
}
