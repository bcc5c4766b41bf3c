//! The loop around a throttle, in virtual time: twenty requests at once, of which the server allows five a second.
//!
//! `cargo run -p poolgate-throttle --example loop`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use poolgate_throttle::{Event, News, Outcome, Permit, Request, RequestId, Settings, Submitted, Throttle};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

/// The time that each request takes.
const RESPONSE_TIME: Duration = Duration::from_millis(80);

fn main() -> Result<(), Box<dyn Error>> {
    let mut now = Duration::ZERO;
    let mut throttle = Throttle::new(Settings::default(), 42);
    let config = ThrottlingConfig {
        throttling_level: Level::Moderate,
        enforced: true,
        fair_rate_per_second: Some(5.0),
        max_concurrent_requests: 2,
        ..ThrottlingConfig::normal(ConfigVersion { epoch: 1, version: 1 })
    };
    // A real client gets it from GET /api/v1/health/database/throttling-config.
    let _ = throttle.configure(&News::Config(config), now)?;

    let mut in_flight: BTreeMap<Duration, Permit> = BTreeMap::new();
    let mut waiting: BTreeMap<RequestId, u32> = BTreeMap::new();
    for number in 1..=20 {
        match throttle.submit(Request::default(), now) {
            Submitted::Start(permit) => send(number, permit, now, &mut in_flight),
            Submitted::Queued(id) => drop(waiting.insert(id, number)),
            Submitted::Rejected(rejection) => return Err(format!("request {number}: {rejection:?}").into()),
        }
    }
    while !(waiting.is_empty() && in_flight.is_empty()) {
        while let Some(event) = throttle.poll(now) {
            match event {
                Event::Start(id, permit) => {
                    let number = waiting.remove(&id).ok_or("an unknown request")?;
                    send(number, permit, now, &mut in_flight);
                }
                Event::Rejected(id, rejection) => return Err(format!("{id:?}: {rejection:?}").into()),
                _ => {} // The level changed from NORMAL to MODERATE.
            }
        }
        // A real client sleeps until the next wake-up or response, whichever is first.
        let wakeup = throttle.next_wakeup();
        let response = in_flight.first_key_value().map(|(at, _)| *at);
        now = wakeup.into_iter().chain(response).min().ok_or("nothing would happen any more")?;
        while let Some(response) = in_flight.first_entry().filter(|response| *response.key() <= now) {
            throttle.complete(response.remove(), Outcome::Success, now);
        }
    }
    println!("all were answered after {:.1} s", now.as_secs_f64());
    assert!((3.0..6.0).contains(&now.as_secs_f64()), "20 requests at 5 per second: {now:?}");
    Ok(())
}

fn send(number: u32, permit: Permit, now: Duration, in_flight: &mut BTreeMap<Duration, Permit>) {
    println!("{:6.3} s: request {number} is sent", now.as_secs_f64());
    let mut answered = now + RESPONSE_TIME;
    while in_flight.contains_key(&answered) {
        answered += Duration::from_nanos(1);
    }
    in_flight.insert(answered, permit);
}

#[test]
fn it_runs() {
    main().unwrap();
}
