//! A wave of demand, and pools that know it is coming or not: what do callers wait, and how many connections does it
//! take?

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use poolgate_control::sizing::{Load, Sizer, SizingSettings};
use poolgate_pool::{Observer, Pool, PoolConfig};
use poolgate_test_postgres::Postgres;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::table;

const SMALL: u32 = 10;
const LARGE: u32 = 40;
/// How long a caller holds its connection.
const HOLD: Duration = Duration::from_millis(100);
/// What opening a connection takes on top: TLS, a distant server, a busy one.
const CONNECT: Duration = Duration::from_millis(50);
/// A caller who waits for longer would rather be told.
const SLOW: Duration = Duration::from_millis(10);
/// Seconds of quiet, rise, height, fall and quiet again; callers a second in quiet and at the height.
const WAVE: [u64; 5] = [10, 20, 10, 10, 10];
const RATES: (f64, f64) = (20.0, 250.0);

/// What is seen of one pool.
struct Seen {
    waits: Mutex<Histogram<u64>>,
    came: AtomicU64,
    ended: AtomicU64,
    in_use_micros: AtomicU64,
    opened: AtomicU64,
}

impl Observer for Seen {
    fn acquired(&self, wait: Duration) {
        if let Ok(mut waits) = self.waits.lock() {
            waits.saturating_record(wait.as_micros() as u64);
        }
    }

    fn released(&self, use_time: Duration, _purpose: Option<&poolgate_pool::Purpose>) {
        self.in_use_micros.fetch_add(use_time.as_micros() as u64, Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }

    fn created(&self, _duration: Duration) {
        self.opened.fetch_add(1, Relaxed);
    }
}

pub(crate) async fn measure(server: &Postgres) -> Result<()> {
    // At the same time, so that other work of the machine meets all of them.
    let (small, large, predictive) = tokio::try_join!(
        wave(server, SMALL, None),
        wave(server, LARGE, None),
        wave(server, SMALL, Some(Duration::from_secs(10))),
    )?;
    let columns =
        ["", "wait p50, ms", "wait p99, ms", "longest, ms", "waited > 10 ms", "open on average", "connections opened"];
    let named = |name: String, figures: Vec<String>| std::iter::once(name).chain(figures).collect();
    let rows = [
        named(format!("{SMALL}, fixed"), small),
        named(format!("{LARGE}, fixed, opened on demand"), large),
        named(format!("{SMALL} to {LARGE}, predictive"), predictive),
    ];
    table::print("A wave of 2 to 25 connections' worth, and connections that take 50 ms to open", &columns, &rows);
    Ok(())
}

/// The figures of one pool.
async fn wave(server: &Postgres, size: u32, horizon: Option<Duration>) -> Result<Vec<String>> {
    let seen = Arc::new(Seen {
        waits: Mutex::new(Histogram::new_with_bounds(1, 120_000_000, 3)?),
        came: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        in_use_micros: AtomicU64::new(0),
        opened: AtomicU64::new(0),
    });
    let pool = Pool::<sqlx::Postgres>::builder(server.url("postgres").parse()?)
        .config(PoolConfig { size, max_overflow: 0, acquire_timeout: Duration::from_secs(60), ..PoolConfig::default() })
        .after_connect(|_| {
            Box::pin(async {
                sleep(CONNECT).await;
                Ok(())
            })
        })
        .observer(Arc::<Seen>::clone(&seen))
        .build()?;
    let mut callers = JoinSet::new();
    let watching = watch(&pool, &seen, horizon);
    let coming = come(&pool, &seen, &mut callers);
    let open_on_average = tokio::select! {
        never = watching => never?,
        average = coming => average,
    };
    for caller in callers.join_all().await {
        caller?;
    }
    let waits = seen.waits.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1000.0);
    let slow = waits.len() - waits.count_between(0, SLOW.as_micros() as u64);
    Ok(vec![
        millis(waits.value_at_quantile(0.5)),
        millis(waits.value_at_quantile(0.99)),
        millis(waits.max()),
        format!("{:.1} %", 100.0 * slow as f64 / waits.len().max(1) as f64),
        format!("{open_on_average:.1}"),
        seen.opened.load(Relaxed).to_string(),
    ])
}

/// Callers come as the wave has it; how many connections were open meanwhile, on average.
async fn come(
    pool: &Pool<sqlx::Postgres>,
    seen: &Seen,
    callers: &mut JoinSet<Result<(), poolgate_pool::AcquireError>>,
) -> f64 {
    const STEP: Duration = Duration::from_millis(10);
    let (started, mut steps) = (Instant::now(), interval(STEP));
    let (mut owed, mut open, mut looks) = (0.0, 0.0, 0.0);
    let end = Duration::from_secs(WAVE.iter().sum());
    while started.elapsed() < end {
        steps.tick().await;
        owed += rate(started.elapsed().as_secs_f64()) * STEP.as_secs_f64();
        open += f64::from(pool.counts().open());
        looks += 1.0;
        while owed >= 1.0 {
            owed -= 1.0;
            seen.came.fetch_add(1, Relaxed);
            let pool = pool.clone();
            callers.spawn(async move {
                let _lease = pool.acquire().await?;
                sleep(HOLD).await;
                Ok(())
            });
        }
    }
    open / looks
}

fn rate(second: f64) -> f64 {
    let [quiet, rise, height, fall, _] = WAVE.map(|seconds| seconds as f64);
    let (low, high) = RATES;
    let part = if second < quiet {
        0.0
    } else if second < quiet + rise {
        (second - quiet) / rise
    } else if second < quiet + rise + height {
        1.0
    } else {
        (1.0 - (second - quiet - rise - height) / fall).max(0.0)
    };
    low + part * (high - low)
}

/// What the server does once a second where `sizing.predictive` is on.
async fn watch(
    pool: &Pool<sqlx::Postgres>,
    seen: &Seen,
    horizon: Option<Duration>,
) -> Result<f64, poolgate_pool::InvalidPoolConfig> {
    const SECOND: Duration = Duration::from_secs(1);
    let Some(horizon) = horizon else { return std::future::pending().await };
    let mut sizer = Sizer::new(SizingSettings { floor: SMALL, ceiling: LARGE, horizon });
    let (started, mut seconds) = (Instant::now(), interval(SECOND));
    seconds.tick().await;
    loop {
        seconds.tick().await;
        let counts = pool.counts();
        let load = Load {
            arrivals: seen.came.swap(0, Relaxed),
            completed: seen.ended.swap(0, Relaxed),
            in_use: Duration::from_micros(seen.in_use_micros.swap(0, Relaxed)),
            busy: counts.checked_out + counts.waiting,
        };
        sizer.update(&load, SECOND);
        let target = sizer.target(None, started.elapsed());
        pool.resize(target.size, 0)?;
        pool.set_min_connections(target.keep_open);
    }
}
