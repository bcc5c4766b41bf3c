//! The golden documents of `tests/fixtures` stay the same after reading and writing.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use poolgate_types::{
    AlertKind, CleanupReport, ConfigHeader, Health, Level, Problem, Reason, Status, ThrottlingConfig,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[test]
fn every_document_stays_the_same_after_reading_and_writing() {
    for name in ["config-normal", "config-moderate", "config-fixed-aggressive", "config-open", "config-half-open"] {
        assert_survives::<ThrottlingConfig>(name);
    }
    assert_survives::<Status>("status");
    assert_survives::<Status>("status-watched");
    assert_survives::<CleanupReport>("cleanup");
    assert_survives::<Problem>("problem");
}

#[test]
fn alert_kinds_keep_their_wire_names() {
    let names = [
        (AlertKind::PoolUsage, "pool_usage"),
        (AlertKind::GateFull, "gate_full"),
        (AlertKind::DatabaseSilent, "database_silent"),
        (AlertKind::LoginRefused, "login_refused"),
        (AlertKind::ServerFull, "server_full"),
        (AlertKind::DatabasePaused, "database_paused"),
        (AlertKind::ReadOnly, "read_only"),
        (AlertKind::StorageFull, "storage_full"),
        (AlertKind::WritesBlocked, "writes_blocked"),
        (AlertKind::ClientsDisobey, "clients_disobey"),
        (AlertKind::ProxyUntrusted, "proxy_untrusted"),
        (AlertKind::CleanupIneffective, "cleanup_ineffective"),
        (AlertKind::PartialView, "partial_view"),
        (AlertKind::ClusterStatic, "cluster_static"),
    ];
    assert_eq!(names.map(|(kind, _)| kind), AlertKind::ALL);
    for (kind, word) in names {
        assert_eq!(serde_json::to_value(kind).unwrap(), word);
        assert_eq!(kind.as_str(), word);
    }
}

#[test]
fn the_healthy_config_is_the_normal_row() {
    let golden: ThrottlingConfig = read("config-normal");
    assert_eq!(golden, ThrottlingConfig::normal(golden.at()));
    assert_eq!(golden.etag(), "1763880000000-41");
}

#[test]
fn the_problem_of_an_unreachable_database_carries_the_status() {
    let document: Value = read("status-unreachable");
    let problem: Problem = serde_json::from_value(document.clone()).unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (503, poolgate_types::codes::DATABASE_UNAVAILABLE));
    assert!(serde_json::from_value::<Status>(document).is_ok());
}

#[test]
fn unknown_words_are_read_with_caution() {
    let config: ThrottlingConfig = read("config-unknown-words");
    assert_eq!((config.throttling_level, config.reason), (Level::Emergency, Reason::Other));
    assert_eq!(config.health, Health::Critical);
}

#[test]
fn a_malformed_config_is_an_error() {
    assert!(serde_json::from_str::<ThrottlingConfig>(&text("config-malformed")).is_err());
}

#[test]
fn headers_read_and_write_as_the_fixtures_say() {
    let fixtures: Value = read("headers");
    for case in fixtures["valid"].as_array().unwrap() {
        let text = case["header"].as_str().unwrap();
        let header: ConfigHeader = text.parse().unwrap();
        assert_eq!(header.at.epoch, case["epoch"], "{text}");
        assert_eq!(header.at.version, case["version"], "{text}");
        assert_eq!(header.level.as_str(), case["level"], "{text}");
        assert_eq!(serde_json::json!(header.interval_ms), case["interval_ms"], "{text}");
        assert_eq!(header.concurrency, case["concurrency"], "{text}");
        assert_eq!(header.open, case["open"], "{text}");
        if case["canonical"] == true {
            assert_eq!(header.to_string(), text);
        }
    }
    for text in fixtures["malformed"].as_array().unwrap() {
        assert!(text.as_str().unwrap().parse::<ConfigHeader>().is_err(), "{text} was read");
    }
}

#[test]
fn a_config_and_its_header_say_the_same() {
    for name in ["config-normal", "config-moderate", "config-open"] {
        let config: ThrottlingConfig = read(name);
        let header: ConfigHeader = ConfigHeader::from(&config).to_string().parse().unwrap();
        assert_eq!(header.at, config.at(), "{name}");
        assert_eq!(header.open, config.circuit_breaker_open, "{name}");
        match (header.fair_rate_per_second(), config.fair_rate_per_second) {
            (Some(header), Some(config)) => assert!((header / config - 1.0).abs() < 0.01, "{name}"),
            (header, config) => assert_eq!(header, config, "{name}"),
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_header_parser_panic(text in ".{0,200}") {
        let _ = text.parse::<ConfigHeader>();
    }

    #[test]
    fn clamped_numbers_are_in_range(value in proptest::num::f64::ANY) {
        for range in [ThrottlingConfig::CONCURRENCY, ThrottlingConfig::PER_MINUTE, ThrottlingConfig::DELAY_MS] {
            proptest::prop_assert!(range.contains(range.clamp_f64(value)));
        }
    }
}

fn assert_survives<T: DeserializeOwned + Serialize>(name: &str) {
    let golden: Value = read(name);
    let document: T = serde_json::from_value(golden.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(serde_json::to_value(document).unwrap(), golden, "{name}");
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name).with_extension("json");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
