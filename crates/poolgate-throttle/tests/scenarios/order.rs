//! Which config holds: the higher (epoch, version), whichever way it arrived.

use poolgate_throttle::{Configured, Event, News, Settings, Throttle};
use poolgate_types::{ConfigHeader, ConfigVersion, Health, Level, ThrottlingConfig};

use crate::{
    configs::{EPOCH, at, fair, fixed, news, normal, open},
    world::{World, ms, secs},
};

fn header(config: &ThrottlingConfig) -> News {
    News::Header(ConfigHeader::from(config))
}

#[test]
fn the_higher_version_wins_whichever_way_it_arrived() {
    let mut world = World::configured(normal(5), 1);
    assert_eq!(world.configure(news(fair(4, 1.0, 1))), Configured::Older);
    assert_eq!(world.configure(header(&fair(4, 1.0, 1))), Configured::Older);
    assert_eq!(world.configure(News::Current(at(4))), Configured::Older);
    assert_eq!(world.configure(news(fair(5, 1.0, 1))), Configured::Unchanged);
    assert!(!world.state().enforced);
    assert_eq!(world.configure(News::Current(at(6))), Configured::Missed);
    assert_eq!(world.configure(header(&fair(6, 2.0, 3))), Configured::Applied);
    assert_eq!(world.state().rate_per_second, Some(2.0));
    assert_eq!(world.state().limits.concurrency, Some(3));
    assert_eq!(world.configure(news(normal(7))), Configured::Applied);
    assert_eq!(world.state().version, Some(at(7)));
}

#[test]
fn a_new_epoch_beats_any_version_of_an_older_one() {
    let mut world = World::configured(normal(1_000_000), 1);
    let restarted = ConfigVersion { epoch: EPOCH + 1, version: 1 };
    let config = ThrottlingConfig::normal(restarted);
    assert_eq!(world.configure(news(config)), Configured::Applied);
    assert_eq!(world.configure(news(normal(2_000_000))), Configured::Older);
    assert_eq!(world.state().version, Some(restarted));
}

#[test]
fn the_document_completes_its_own_header() {
    let mut world = World::new(1);
    let document = ThrottlingConfig { health: Health::Critical, ..fixed(3, Level::Aggressive) };
    assert_eq!(world.configure(header(&document)), Configured::Applied);
    assert_eq!(world.state().level, Level::Aggressive);
    assert!(!world.state().enforced, "a header alone cannot say that the six fields are in force");
    assert_eq!(world.configure(news(document.clone())), Configured::Applied);
    assert_eq!(world.state().health, Health::Critical);
    assert_eq!(world.state().limits.per_minute, Some(30));
    assert_eq!(world.configure(header(&document)), Configured::Unchanged);
    assert_eq!(world.state().limits.per_minute, Some(30), "and its header takes nothing away");
}

#[test]
fn a_malformed_config_is_ignored_and_the_last_valid_one_kept() {
    let mut world = World::configured(fair(1, 2.0, 3), 1);
    let before = world.state();
    let bad = [
        ("max_concurrent_requests", ThrottlingConfig { max_concurrent_requests: 0, ..normal(9) }),
        ("request_delay_ms", ThrottlingConfig { request_delay_ms: 1, ..normal(9) }),
        ("fair_rate_per_second", fair(9, f64::NAN, 3)),
        ("fair_rate_per_second", fair(9, -1.0, 3)),
    ];
    for (field, config) in bad {
        let error = world.throttle.configure(&news(config), world.now).unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.to_string().contains(field));
        assert_eq!(world.state(), before);
    }
    let bad_header = ConfigHeader { concurrency: 99, ..ConfigHeader::from(&normal(9)) };
    assert!(world.throttle.configure(&News::Header(bad_header), world.now).is_err());
    assert_eq!(world.state(), before);
}

#[test]
fn a_malformed_first_config_leaves_everything_passing() {
    let mut throttle = Throttle::new(Settings::default(), 1);
    assert!(throttle.configure(&news(fair(1, 0.0, 1)), ms(0)).is_err());
    assert!(throttle.state(ms(0)).passes_through);
}

#[test]
fn a_header_carries_the_breaker_too() {
    let mut world = World::configured(normal(1), 1);
    let _ = world.configure(header(&open(2)));
    assert!(world.submit().is_err());
    let _ = world.configure(header(&normal(3)));
    assert_eq!(world.submit(), Ok(None));
}

#[test]
fn after_not_found_only_a_document_counts() {
    let mut world = World::configured(fair(8, 1.0, 1), 1);
    assert_eq!(world.configure(News::NotFound), Configured::Applied);
    assert_eq!(world.configure(News::NotFound), Configured::Unchanged);
    assert_eq!(world.configure(header(&fair(9, 1.0, 1))), Configured::Unchanged);
    assert_eq!(world.configure(News::Current(at(9))), Configured::Unchanged);
    assert!(world.state().passes_through);
    assert_eq!(world.configure(news(fair(8, 1.0, 1))), Configured::Applied);
    assert!(world.state().enforced);
}

#[test]
fn without_a_config_a_heartbeat_asks_for_it() {
    let mut world = World::new(1);
    assert_eq!(world.configure(News::Current(at(1))), Configured::Missed);
    assert_eq!(world.configure(News::HeaderMissing), Configured::Unchanged);
    assert_eq!(world.configure(News::NoContact), Configured::Unchanged);
    assert!(world.state().passes_through);
}

#[test]
fn changes_are_reported_once() {
    let mut world = World::configured(normal(1), 1);
    assert!(world.changes.is_empty(), "every client starts in NORMAL");
    let _ = world.configure(news(fair(2, 1.0, 1)));
    let _ = world.configure(news(fair(3, 2.0, 1)));
    assert!(matches!(world.changes[..], [Event::LevelChanged { from: Level::Normal, to: Level::Moderate }]));
    world.run_for(secs(60));
    assert!(matches!(world.changes[1..], [Event::StaleChanged(true)]));
    let _ = world.configure(News::Current(at(3)));
    assert!(matches!(world.changes[2..], [Event::StaleChanged(false)]));
}
