//! Measures the table of the original system: `cargo xtask bench before-after`.
//!
//! Two servers on a real PostgreSQL get the same offered load one after the other: the first with the old settings
//! (`--profile before`) and plain users, the second with the default settings and users that each run
//! poolgate-throttle. `--overload` adds two runs above the capacity of the new settings, without and with the throttle.
//!
//! Users are open-loop Poisson processes in this process; the server is a separate process. Latency counts from the
//! user's attempt to send. Requests are not retried.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use poolgate::demo::load::{Load, LoadReport, LoadRequest};
use poolgate_e2e::Server;
use poolgate_test_postgres::Postgres;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Interval between looks at the pool during a load.
const LOOK: Duration = Duration::from_millis(100);

/// Measures before and after on PostgreSQL and prints a Markdown table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of users.
    #[arg(long, default_value_t = 60)]
    users: u32,
    /// Requests per second of all users together. The old settings serve 6 / hold time: 60 at 100 ms; the new ones 25 /
    /// hold time: 250.
    #[arg(long, default_value_t = 180.0)]
    rate: f64,
    /// How long each request holds a connection, in milliseconds.
    #[arg(long, default_value_t = 100)]
    hold_ms: u32,
    /// Duration of each run, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Also measure the new settings at this rate, without and with the throttle.
    #[arg(long, value_name = "RATE")]
    overload: Option<f64>,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    /// Seed of the users' demand; by default a new one for each run.
    #[arg(long)]
    seed: Option<u64>,
}

/// One column of the table.
#[derive(Debug, Serialize)]
struct Run {
    name: &'static str,
    settings: Settings,
    offered_per_second: f64,
    /// Share of the sent requests that succeeded, 0 to 1.
    success_rate: f64,
    /// Share of the offered requests that succeeded, 0 to 1.
    served_rate: f64,
    peak_pool_usage_percent: f64,
    peak_gate_usage_percent: f64,
    report: LoadReport,
}

/// The settings that the server reports.
#[derive(Debug, Serialize)]
struct Settings {
    pool_size: u32,
    max_overflow: u32,
    capacity: u32,
    pool_timeout: String,
    max_concurrent_requests: u32,
    gate_timeout: String,
}

#[derive(Clone, Copy)]
struct Plan {
    name: &'static str,
    profile: Option<&'static str>,
    poolgate: bool,
    rate: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = arguments.seed.unwrap_or(clock.as_nanos() as u64);
    let mut plans = vec![
        Plan { name: "before", profile: Some("before"), poolgate: false, rate: arguments.rate },
        Plan { name: "after", profile: None, poolgate: true, rate: arguments.rate },
    ];
    if let Some(rate) = arguments.overload {
        plans.push(Plan { name: "overload, plain users", profile: None, poolgate: false, rate });
        plans.push(Plan { name: "overload, with Poolgate", profile: None, poolgate: true, rate });
    }

    let postgres = Postgres::start()?;
    let database = postgres.create_database("shop")?;
    let mut runs = Vec::with_capacity(plans.len());
    for plan in plans {
        eprintln!("{}: {} requests/s for {} s", plan.name, plan.rate, arguments.seconds);
        runs.push(measure(plan, &arguments, &database, seed).await?);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&runs)?);
    } else {
        let version = postgres.sql("shop", "SHOW server_version")?;
        print!("{}", markdown(&runs, &arguments, &version));
    }
    Ok(())
}

async fn measure(plan: Plan, arguments: &Arguments, database: &str, seed: u64) -> Result<Run> {
    let profile: Vec<&str> = plan.profile.map_or_else(Vec::new, |profile| vec!["--profile", profile]);
    let server = Server::builder().demo().database(database).arguments(&profile).start()?;
    server.ready().await?;

    let request = LoadRequest {
        users: arguments.users,
        requests_per_second: plan.rate,
        hold_ms: arguments.hold_ms,
        poolgate: plan.poolgate,
        seconds: arguments.seconds,
    };
    let load = Load::start(server.address(), request, seed, &CancellationToken::new())?;
    let (mut pool_peak, mut gate_peak) = (0.0_f64, 0.0_f64);
    while load.is_running() {
        let status = server.status().await?;
        pool_peak = pool_peak.max(status.pool.usage_percent);
        gate_peak = gate_peak.max(status.gate.context("the server has no gate")?.usage_percent);
        tokio::select! {
            () = load.ended() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    let report = load.overall();
    let status = server.status().await?;
    let texts = settings_in_force(&profile)?;
    let text = |key: &str| texts.get(key).cloned().with_context(|| format!("--print-config does not show {key}"));
    let ended = report.succeeded + report.rejected + report.failed;
    ensure!(ended > 0, "{}: no request was answered", plan.name);
    Ok(Run {
        name: plan.name,
        settings: Settings {
            pool_size: status.pool.pool_size,
            max_overflow: status.pool.max_overflow,
            capacity: status.pool.capacity,
            pool_timeout: text("pool.timeout")?,
            max_concurrent_requests: status.gate.context("the server has no gate")?.max_concurrent_requests,
            gate_timeout: text("gate.timeout")?,
        },
        offered_per_second: plan.rate,
        success_rate: report.succeeded as f64 / ended as f64,
        served_rate: report.succeeded as f64 / report.wanted as f64,
        peak_pool_usage_percent: pool_peak,
        peak_gate_usage_percent: gate_peak,
        report,
    })
}

/// The settings as `poolgate --print-config` shows them: `pool.timeout` -> `30s`.
fn settings_in_force(profile: &[&str]) -> Result<BTreeMap<String, String>> {
    let shown = Server::builder().demo().arguments(profile).argument("--print-config").run_to_its_end()?;
    ensure!(shown.status.success(), "--print-config: {}", shown.output);
    Ok(flatten(&shown.output))
}

/// Reads simple TOML: tables, and keys with values on one line.
fn flatten(toml: &str) -> BTreeMap<String, String> {
    let mut table = "";
    let mut settings = BTreeMap::new();
    for line in toml.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name;
        } else if let Some((key, value)) = line.split_once('=') {
            let path = if table.is_empty() { key.trim().to_owned() } else { format!("{table}.{}", key.trim()) };
            settings.insert(path, value.trim().trim_matches('"').to_owned());
        }
    }
    settings
}

fn markdown(runs: &[Run], arguments: &Arguments, version: &str) -> String {
    let Arguments { users, hold_ms, seconds, .. } = arguments;
    let mut text = format!(
        "PostgreSQL {version}; {users} users in a process of their own, whose requests hold a connection for {hold_ms} ms \
         each; {seconds} s a run, no retries.\n\n"
    );
    for run in runs {
        let served = f64::from(run.settings.capacity.min(run.settings.max_concurrent_requests));
        let capacity = served / (f64::from(*hold_ms).max(1.0) / 1000.0);
        text += &format!(
            "- {}: {} requests/s offered, {:.1} times the capacity of {capacity:.0}\n",
            run.name,
            run.offered_per_second,
            run.offered_per_second / capacity
        );
    }
    text.push('\n');
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> String| {
        text += &format!("| {name} |");
        for run in runs {
            text += &format!(" {} |", cell(run));
        }
        text.push('\n');
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    row("", &|run| run.name.to_owned());
    row("---", &|_| "---:".to_owned());
    row("Connection pool size", &|run| run.settings.pool_size.to_string());
    row("Max overflow", &|run| run.settings.max_overflow.to_string());
    row("Total connections", &|run| run.settings.capacity.to_string());
    row("Pool timeout", &|run| run.settings.pool_timeout.clone());
    row("Max concurrent requests", &|run| run.settings.max_concurrent_requests.to_string());
    row("Gate timeout", &|run| run.settings.gate_timeout.clone());
    row("**API success rate** (of requests sent)", &|run| percent(run.success_rate));
    row("Served, of what users wanted", &|run| percent(run.served_rate));
    row("Goodput, requests/s", &|run| format!("{:.1}", run.report.goodput_per_second));
    row("Latency p50, ms", &|run| format!("{:.0}", run.report.latency_ms.p50));
    row("Latency p99, ms", &|run| format!("{:.0}", run.report.latency_ms.p99));
    row("Peak pool usage", &|run| format!("{:.0} %", run.peak_pool_usage_percent));
    row("Peak gate usage", &|run| format!("{:.0} %", run.peak_gate_usage_percent));
    row("Wanted", &|run| run.report.wanted.to_string());
    row("Sent", &|run| run.report.sent.to_string());
    row("Succeeded", &|run| run.report.succeeded.to_string());
    row("Rejected by the server", &|run| run.report.rejected.to_string());
    row("Failed", &|run| run.report.failed.to_string());
    row("Given up by the user's throttle", &|run| run.report.given_up.to_string());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_paths() {
        let settings =
            flatten("policy = \"adaptive\"\n\n[pool]\nsize = 20\ntimeout = \"30s\"\n[gate]\ntimeout = \"500ms\"\n");
        assert_eq!(settings["policy"], "adaptive");
        assert_eq!((&settings["pool.size"][..], &settings["pool.timeout"][..]), ("20", "30s"));
        assert_eq!(settings["gate.timeout"], "500ms");
    }
}
