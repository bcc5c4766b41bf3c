//! Which answers are rejections by the gate: the table that the browser's client is held against as well.

use std::time::Duration;

use poolgate_front::Head;
use poolgate_throttle::{News, Outcome};
use serde_json::Value;

fn head(status: u16, headers: &[(&str, &str)]) -> Head {
    Head::read(status, |name| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value))
}

#[test]
fn the_gates_rejections_are_told_from_those_of_others() {
    let table: Value = serde_json::from_str(include_str!("../../../tests/fixtures/rejections.json")).expect("JSON");
    for case in table.as_array().expect("a list") {
        let status = case["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
        let head = Head::read(status, |name| case["headers"][name].as_str());
        let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let is_rejected = matches!(head.outcome(body.as_bytes()), Outcome::Rejected { .. });
        assert_eq!(Some(is_rejected), case["by_the_gate"].as_bool(), "{}", case["name"]);
        assert!(!is_rejected || head.may_be_rejection(), "{}", case["name"]);
    }
}

#[test]
fn a_rejection_says_when_to_return() {
    let after = |text| {
        let headers = [
            ("retry-after", text),
            ("poolgate-config", "e=5, v=7, level=NORMAL, concurrency=10, open=?0"),
            ("content-type", "application/problem+json"),
        ];
        head(503, &headers).outcome(br#"{"code":"database_unavailable"}"#)
    };
    for (text, seconds) in [("0", 0.0), ("5", 5.0), (" 5 ", 5.0), ("1.5", 1.5), ("120, 120", 120.0), ("3,60", 3.0)] {
        assert_eq!(after(text), Outcome::Rejected { retry_after: Some(Duration::from_secs_f64(seconds)) }, "{text}");
    }
    for text in ["", "soon", "-5", "5s", "1.5.2", "1e3", "0x10", ", 5", "5.", "Tue, 01 Dec 2026 12:00:00 GMT"] {
        assert_eq!(after(text), Outcome::Rejected { retry_after: None }, "{text}");
    }
    assert_eq!(after("99999999999999999999"), Outcome::Rejected { retry_after: Some(Duration::MAX) });
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
        assert_eq!(head(status, &[]).outcome(b""), outcome, "{status}");
        assert_eq!(head(status, &[config]).outcome(b""), Outcome::Success, "{status} from the server itself");
    }
}
