//! A throttle accepts or refuses any document, and afterwards requests still get an answer.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use poolgate_throttle::{Event, News, Outcome, Request, Settings, Submitted, Throttle};

fuzz_target!(|input: (u64, Vec<(u16, String)>)| {
    let (seed, documents) = input;
    let mut throttle = Throttle::new(Settings::default(), seed);
    let mut now = Duration::ZERO;
    for (pause, document) in documents {
        now += Duration::from_millis(pause.into());
        if let Ok(config) = serde_json::from_str(&document) {
            let _ = throttle.configure(&News::Config(config), now);
        }
        if let Ok(header) = document.parse() {
            let _ = throttle.configure(&News::Header(header), now);
        }
        if let Submitted::Start(permit) = throttle.submit(Request::default(), now) {
            throttle.complete(permit, Outcome::Success, now);
        }
        while let Some(event) = throttle.poll(now) {
            if let Event::Start(_, permit) = event {
                throttle.complete(permit, Outcome::Success, now);
            }
        }
    }
});
