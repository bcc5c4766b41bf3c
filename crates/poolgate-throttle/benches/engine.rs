//! Cost of the engine: nanoseconds per call that starts at once and per operation with a full queue, and bytes per
//! queued request. `cargo bench -p poolgate-throttle` prints a table. It takes the median of several rounds, so that
//! other work on the machine matters little.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a measurement needs the clock, and may fail"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use poolgate_throttle::{Event, News, Outcome, Priority, Request, RequestId, Settings, Submitted, Throttle};
use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};

const ROUNDS: usize = 15;
const QUEUED: usize = 10_000;

fn main() {
    println!("| operation | median ns |");
    println!("|---|---|");
    row("submit, poll, wake-up, complete; nothing enforced", || fast_path(None, 100_000));
    row("the same under a fair rate with room", || fast_path(Some(1e6), 100_000));
    row("enqueue one of 10,000", || {
        let (mut throttle, start) = (blocked(), Instant::now());
        fill(&mut throttle);
        (start.elapsed(), QUEUED)
    });
    row("wake-up and state, 10,000 queued", || {
        let mut throttle = blocked();
        fill(&mut throttle);
        let start = Instant::now();
        for _ in 0..QUEUED {
            black_box((throttle.next_wakeup(), throttle.state(Duration::ZERO)));
        }
        (start.elapsed(), QUEUED)
    });
    row("start one of 10,000", drain);
    row("expire one of 10,000", expire);
    row("abort one of 10,000 at random, and enqueue another", churn);
    println!("\n{} bytes per queued request", bytes_per_request());
}

/// Runs `measure`, which returns a time and the number of operations in it.
fn row(name: &str, mut measure: impl FnMut() -> (Duration, usize)) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (time, operations) = measure();
            time.as_nanos() as f64 / operations as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("| {name} | {:.0} |", rounds.get(ROUNDS / 2).unwrap());
}

fn fast_path(rate: Option<f64>, calls: usize) -> (Duration, usize) {
    let mut throttle = Throttle::new(Settings::default(), 1);
    configure(&mut throttle, rate, 10);
    let start = Instant::now();
    for call in 0..calls {
        // Ten milliseconds apart: the rate never empties the bucket.
        let now = Duration::from_millis(10 * (call as u64 + 1));
        let Submitted::Start(permit) = throttle.submit(black_box(Request::default()), now) else { panic!("queued") };
        assert!(throttle.poll(now).is_none());
        black_box(throttle.next_wakeup());
        throttle.complete(permit, Outcome::Success, now);
        assert!(throttle.poll(now).is_none());
    }
    (start.elapsed(), calls)
}

fn drain() -> (Duration, usize) {
    let mut throttle = blocked();
    fill(&mut throttle);
    configure(&mut throttle, Some(1e6), 10);
    let start = Instant::now();
    let (mut started, mut now) = (0, Duration::ZERO);
    while let Some(at) = throttle.next_wakeup() {
        now = now.max(at);
        while let Some(event) = throttle.poll(now) {
            if let Event::Start(_, permit) = event {
                throttle.complete(permit, Outcome::Success, now);
                started += 1;
            }
        }
    }
    assert_eq!(started, QUEUED);
    (start.elapsed(), QUEUED)
}

fn expire() -> (Duration, usize) {
    let mut throttle = blocked();
    fill(&mut throttle);
    let start = Instant::now();
    let mut expired = 0;
    while let Some(event) = throttle.poll(Duration::from_secs(3000)) {
        expired += usize::from(matches!(event, Event::Rejected(..)));
    }
    assert_eq!(expired, QUEUED);
    (start.elapsed(), QUEUED)
}

fn churn() -> (Duration, usize) {
    const ABORTS: usize = 100_000;
    let mut throttle = blocked();
    let mut waiting = fill(&mut throttle);
    let start = Instant::now();
    let mut random = 1_u64;
    for _ in 0..ABORTS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let id = waiting.get_mut((random >> 33) as usize % QUEUED).unwrap();
        assert!(throttle.abort(*id, Duration::ZERO));
        *id = enqueue(&mut throttle, random);
    }
    assert_eq!(throttle.state(Duration::ZERO).queued, QUEUED);
    (start.elapsed(), ABORTS)
}

/// Growth of the process when a hundred queues are filled, per request.
fn bytes_per_request() -> usize {
    const QUEUES: usize = 100;
    let before = resident_bytes();
    let throttles: Vec<_> = (0..QUEUES)
        .map(|_| {
            let mut throttle = blocked();
            black_box(fill(&mut throttle).len());
            throttle
        })
        .collect();
    let bytes = (resident_bytes() - before) / (QUEUES * QUEUED);
    black_box(throttles);
    bytes
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A throttle in which one request runs and no other may start.
fn blocked() -> Throttle {
    let mut throttle = Throttle::new(Settings { max_queue: QUEUED, ..Settings::default() }, 1);
    let Submitted::Start(_held) = throttle.submit(Request::default(), Duration::ZERO) else { return throttle };
    configure(&mut throttle, Some(1e6), 1);
    throttle
}

fn configure(throttle: &mut Throttle, rate: Option<f64>, concurrency: u32) {
    let version = throttle.state(Duration::ZERO).version.map_or(1, |at| at.version + 1);
    let config = ThrottlingConfig {
        throttling_level: if rate.is_some() { Level::Moderate } else { Level::Normal },
        enforced: rate.is_some(),
        fair_rate_per_second: rate,
        max_concurrent_requests: concurrency,
        ttl_seconds: 3600,
        ..ThrottlingConfig::normal(ConfigVersion { epoch: 1, version })
    };
    throttle.configure(&News::Config(config), Duration::ZERO).map(drop::<_>).unwrap();
    while throttle.poll(Duration::ZERO).is_some() {}
}

fn fill(throttle: &mut Throttle) -> Vec<RequestId> {
    (0..QUEUED as u64).map(|number| enqueue(throttle, number.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect()
}

/// Priorities and time-outs of all kinds.
fn enqueue(throttle: &mut Throttle, random: u64) -> RequestId {
    let priority = *Priority::ALL.get((random >> 40) as usize % 4).unwrap();
    let queue_timeout = Some(Duration::from_millis(1_000_000 + (random >> 20) % 1_000_000));
    match throttle.submit(Request { priority, queue_timeout, bypass: false }, Duration::ZERO) {
        Submitted::Queued(id) => id,
        other => panic!("{other:?}"),
    }
}
