//! Measurements. `before-after`: the original system's settings against Poolgate's, on PostgreSQL, both under the same
//! offered load of native users over loopback HTTP.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::http;
use crate::postgres;
use crate::project::Project;
use crate::server::{self, Server};
use crate::step::step;

/// How often the pool's usage is read.
const SAMPLE: Duration = Duration::from_millis(500);
/// What a run may take longer than asked for: the last answers, the users' patience.
const GRACE: Duration = Duration::from_secs(60);

const LOAD: &str = "/api/v1/lab/load";
const STATUS: &str = "/api/v1/health/database/status";

/// `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Profile `before` with plain clients against the default profile with clients that throttle themselves
    BeforeAfter(Offered),
}

/// What the users want, the same for both.
#[derive(Args)]
struct Offered {
    /// Users
    #[arg(long, default_value_t = 200)]
    users: u32,
    /// Requests a second of all users together; a table for each. With the other defaults the old pool can do 30, the
    /// new gate 125
    #[arg(long, value_delimiter = ',', default_values_t = [100.0, 250.0])]
    requests_per_second: Vec<f64>,
    /// Milliseconds that each request holds a connection
    #[arg(long, default_value_t = 200)]
    hold_ms: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// A PostgreSQL to use; without it a private one is started
    #[arg(long)]
    database_url: Option<String>,
}

/// One column of a table.
struct Run {
    report: Value,
    peak_usage_percent: f64,
}

/// Runs the command.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let Bench::BeforeAfter(offered) = &options.bench;
    let binary = server::build(project)?;
    let database = Database::open(offered.database_url.as_deref())?;
    for rate in &offered.requests_per_second {
        let measure = |name: &str, profile: &[&str], poolgate: bool| {
            step(&format!("Measuring {name} for {} s", offered.seconds), || {
                let folder = project.reports().join("before-after").join(name);
                let arguments = [&["--demo", "--database-url", &database.url], profile].concat();
                let server = Server::start(&binary, &folder, &arguments)?;
                measure(&server, offered, *rate, poolgate)
            })
        };
        let before = measure("before", &["--profile", "before"], false)?;
        let after = measure("after", &[], true)?;
        println!(
            "\n{} users want {rate} requests/s together, each holding a connection for {} ms\n{}\n",
            offered.users,
            offered.hold_ms,
            table(&before, &after)?
        );
    }
    Ok(())
}

fn measure(server: &Server, offered: &Offered, rate: f64, poolgate: bool) -> Result<Run> {
    let wish = json!({
        "users": offered.users,
        "requests_per_second": rate,
        "hold_ms": offered.hold_ms,
        "poolgate": poolgate,
        "seconds": offered.seconds,
    });
    http::request(server.address, "POST", LOAD, Some(&wish))?;
    let deadline = Instant::now() + Duration::from_secs(offered.seconds.into()) + GRACE;
    let mut peak_usage_percent = 0.0_f64;
    loop {
        thread::sleep(SAMPLE);
        let status = http::json(server.address, "GET", STATUS, None)?;
        let usage = status["pool"]["usage_percent"].as_f64();
        peak_usage_percent = peak_usage_percent.max(usage.context("status has no pool.usage_percent")?);
        let report = http::json(server.address, "GET", LOAD, None)?;
        if report["state"] == "ended" {
            return Ok(Run { report, peak_usage_percent });
        }
        if Instant::now() > deadline {
            bail!("the load did not end");
        }
    }
}

/// The seven figures side by side.
fn table(before: &Run, after: &Run) -> Result<String> {
    let mut lines = vec![format!("{:44}{:>12}{:>12}", "", "before", "after")];
    let mut line = |name: &str, figure: &dyn Fn(&Run) -> Result<String>| -> Result<()> {
        lines.push(format!("{name:44}{:>12}{:>12}", figure(before)?, figure(after)?));
        Ok(())
    };
    line("succeeded, of what was sent", &|run| {
        let sent = run.count("succeeded")? + run.count("rejected")? + run.count("failed")?;
        Ok(percent(run.count("succeeded")?, sent))
    })?;
    line("succeeded, of what users wanted", &|run| Ok(percent(run.count("succeeded")?, run.count("wanted")?)))?;
    line("goodput, requests/s", &|run| {
        Ok(format!("{:.1}", run.count("succeeded")? / run.figure("/elapsed_seconds")?))
    })?;
    line("latency p50 of successes (last 5 s), ms", &|run| Ok(format!("{:.0}", run.figure("/latency_ms/p50")?)))?;
    line("latency p99 of successes (last 5 s), ms", &|run| Ok(format!("{:.0}", run.figure("/latency_ms/p99")?)))?;
    line("rejected by the gate", &|run| Ok(run.count("rejected")?.to_string()))?;
    line("given up by the users' own throttles", &|run| Ok(run.count("given_up")?.to_string()))?;
    line("peak usage of the pool", &|run| Ok(format!("{:.0} %", run.peak_usage_percent)))?;
    Ok(lines.join("\n"))
}

impl Run {
    fn figure(&self, pointer: &str) -> Result<f64> {
        let figure = self.report.pointer(pointer).and_then(Value::as_f64);
        figure.with_context(|| format!("the load's report has no {pointer}"))
    }

    fn count(&self, name: &str) -> Result<f64> {
        self.figure(&format!("/{name}"))
    }
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "-".to_owned() }
}

/// The user's PostgreSQL, or a private one for as long as this lives.
struct Database {
    url: String,
    #[cfg(unix)]
    _private: Option<poolgate_test_postgres::Postgres>,
}

impl Database {
    #[cfg(unix)]
    fn open(url: Option<&str>) -> Result<Self> {
        if let Some(url) = url {
            return Ok(Self { url: url.to_owned(), _private: None });
        }
        postgres::find_or_install()?;
        step("Starting a private PostgreSQL", || {
            let server = poolgate_test_postgres::Postgres::start()?;
            let url = server.create_database("bench")?;
            Ok(Self { url, _private: Some(server) })
        })
    }

    #[cfg(not(unix))]
    fn open(url: Option<&str>) -> Result<Self> {
        let url = url.context("--database-url is needed here: a private PostgreSQL is started on Unix alone")?;
        Ok(Self { url: url.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_compares_two_reports() {
        let run = |succeeded, rejected, peak_usage_percent| Run {
            report: json!({
                "state": "ended", "elapsed_seconds": 10.0, "wanted": 1000, "sent": 1000, "succeeded": succeeded,
                "rejected": rejected, "given_up": 0, "failed": 0, "latency_ms": { "p50": 210.4, "p95": 250, "p99": 300 },
            }),
            peak_usage_percent,
        };
        let table = table(&run(300, 700, 100.0), &run(990, 10, 83.3)).unwrap();
        let row =
            |name| table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row("succeeded, of what was sent")[5..], ["30.0", "%", "99.0", "%"]);
        assert_eq!(row("goodput")[2..], ["30.0", "99.0"]);
        assert_eq!(row("peak usage")[5..], ["100", "%", "83", "%"]);
    }

    #[test]
    fn a_report_without_a_figure_is_an_error() {
        let empty = Run { report: json!({}), peak_usage_percent: 0.0 };
        assert!(empty.count("succeeded").is_err());
    }
}
