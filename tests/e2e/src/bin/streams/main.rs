//! Measures push at scale: `cargo xtask bench streams`.
//!
//! The real server runs as a separate process. This process opens thousands of event streams over loopback and records
//! when each receives each new config. The configs come from the controller: open-loop users overload the demo's gate
//! in pulses, and the published fair rate follows. The server's debug log states when a config was published, before
//! the first stream is woken; both processes read the same clock.
//!
//! Server, subscribers and users share the machine, so the times include the system's work for both ends of every
//! connection.

mod process;
mod report;
mod subscribers;

use std::{
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use poolgate::demo::load::{Load, LoadRequest};
use poolgate_e2e::Server;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::{
    process::{Process, raise_file_limit, socket_bytes},
    report::Run,
    subscribers::{Sighting, Subscribers},
};

/// Twice the longest heartbeat interval, to measure the cost of open but idle streams.
const IDLE: Duration = Duration::from_secs(30);
/// Duration of a pulse of load, and of the pause in which limits are released.
const PULSE: Duration = Duration::from_secs(4);
const RELEASE: Duration = Duration::from_secs(8);
/// How long to wait for the last published version.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures the cost of open event streams and the time until a new config reaches all of them. Linux only.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of streams.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Number of runs, each with its own server; the table shows medians and ranges.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Pulses of load per run.
    #[arg(long, default_value_t = 2)]
    pulses: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    raise_file_limit(arguments.streams as u64 + 200)?;
    let mut runs = Vec::new();
    for number in 1..=arguments.runs {
        eprintln!("run {number} of {}", arguments.runs);
        let run = measure(&arguments)?;
        eprintln!("{run:?}");
        runs.push(run);
    }
    print!("{}", report::markdown(&runs));
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Run> {
    let runtime = Runtime::new()?;
    let server = Server::builder().demo().environment("RUST_LOG", "warn,poolgate_server::monitor=debug").start()?;
    runtime.block_on(server.ready())?;
    let process = Process::of(server.process_id());

    let alone = pulses(&runtime, &server, arguments.pulses)?;
    let (resident, sockets, cpu, begun) =
        (process.resident_bytes()?, socket_bytes()?, process.cpu_time()?, SystemTime::now());
    let subscribers = Subscribers::open(server.address(), arguments.streams)?;
    let opening = begun.elapsed()?;
    let opening_cpu = process.cpu_time()? - cpu;

    let idle_cpu = process.cpu_time()?;
    thread::sleep(IDLE);
    let idle_cpu = process.cpu_time()? - idle_cpu;
    let resident = process.resident_bytes()?.saturating_sub(resident);
    let sockets = socket_bytes()?.saturating_sub(sockets);
    subscribers.take_sightings();

    let (own_cpu, followed) = (Process::own().cpu_time()?, pulses(&runtime, &server, arguments.pulses)?);
    let own_cpu = Process::own().cpu_time()? - own_cpu;
    let published = published(&server.log(), followed.begun)?;
    ensure!(!published.is_empty(), "no config was published");
    let streams = arguments.streams as f64;
    let idle_share = idle_cpu.as_secs_f64() / IDLE.as_secs_f64();
    // The cost of pulses without streams, and of streams without pulses, is subtracted.
    let broadcasts = followed.cpu.as_secs_f64() - alone.cpu.as_secs_f64() - idle_share * followed.took.as_secs_f64();
    Ok(Run {
        streams: arguments.streams,
        kilobytes_per_stream: resident as f64 / streams / 1e3,
        socket_kilobytes_per_stream: sockets as f64 / streams / 1e3,
        opened_per_second: streams / opening.as_secs_f64(),
        opening_cpu_microseconds: opening_cpu.as_secs_f64() / streams * 1e6,
        idle_cpu_percent: idle_share * 100.0,
        broadcasts: published.len(),
        broadcast_cpu_milliseconds: broadcasts / published.len() as f64 * 1e3,
        reader_cpu_milliseconds: own_cpu.as_secs_f64() / published.len() as f64 * 1e3,
        reach: reach(&published, &subscribers.take_sightings())?,
    })
}

struct Pulses {
    begun: SystemTime,
    took: Duration,
    cpu: Duration,
}

/// Overloads the gate of 25 permits three times over with requests of half a second, which need little CPU time.
fn pulses(runtime: &Runtime, server: &Server, count: u32) -> Result<Pulses> {
    let process = Process::of(server.process_id());
    let (cpu, begun) = (process.cpu_time()?, SystemTime::now());
    for number in 0..count {
        let request = LoadRequest {
            users: 50,
            requests_per_second: 150.0,
            hold_ms: 500,
            poolgate: false,
            seconds: PULSE.as_secs() as u32,
        };
        runtime.block_on(async {
            let load = Load::start(server.address(), request, number.into(), &CancellationToken::new())?;
            load.ended().await;
            tokio::time::sleep(RELEASE).await;
            anyhow::Ok(())
        })?;
    }
    thread::sleep(SETTLE);
    Ok(Pulses { begun, took: begun.elapsed()?, cpu: process.cpu_time()? - cpu })
}

/// Version and time of each config published after `begun`, from the log.
fn published(log: &str, begun: SystemTime) -> Result<Vec<Sighting>> {
    let mut published = Vec::new();
    for line in log.lines().filter(|line| line.contains("\"Config published\"")) {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let version = line["version"].as_u64().context("no version")?;
        let at: jiff::Timestamp = line["timestamp"].as_str().context("no timestamp")?.parse()?;
        let at = SystemTime::from(at);
        if at >= begun {
            published.push(Sighting { version, at });
        }
    }
    Ok(published)
}

/// For each broadcast, the time until it reached each stream, in milliseconds, sorted. A newer version counts as well.
fn reach(published: &[Sighting], streams: &[Vec<Sighting>]) -> Result<Vec<Vec<f64>>> {
    published
        .iter()
        .map(|broadcast| {
            let mut times = streams
                .iter()
                .map(|sightings| {
                    let first = sightings.iter().find(|sighting| sighting.version >= broadcast.version);
                    let first =
                        first.with_context(|| format!("a stream never received version {}", broadcast.version))?;
                    Ok(first.at.duration_since(broadcast.at).unwrap_or_default().as_secs_f64() * 1e3)
                })
                .collect::<Result<Vec<f64>>>()?;
            times.sort_by(f64::total_cmp);
            Ok(times)
        })
        .collect()
}
