//! `cargo xtask soak`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use poolgate_soak::{
    clients::{self, Others},
    course::{self, Course},
    lane::{self, Record},
    plot, report,
    schedule::Through,
    verdict::{self, Verdict},
};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

/// Runs the program for a long time with faults and with honest, slow and hostile clients, and judges it.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask soak")]
struct Options {
    /// Length of the run, 1 to 180; from 5 on the calm between faults is long enough for figures to be quoted
    #[arg(long, default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Decides the faults, their times and the clients' wishes [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How the program reaches its database
    #[arg(long, value_enum, default_value_t = Ways::Both)]
    through: Ways,
    /// Clients besides the honest ones; fewer of them help to find a cause
    #[arg(long, value_enum, default_value_t = Others::All)]
    others: Others,
    /// Required goodput of the honest clients outside of outages, as a percentage of their goodput alone, 1 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    least: u8,
    /// Print the schedule and exit
    #[arg(long)]
    plan: bool,
    /// Write all measurements, second by second, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for the program's logs and the plots
    #[arg(long, value_name = "FOLDER", default_value = "target/soak")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ways {
    /// On connections to PostgreSQL
    Direct,
    /// On connections to a PgBouncer in transaction mode
    Pgbouncer,
    /// One program each, side by side
    Both,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let seed = match options.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % 100_000,
    };
    let course = Course::of(options.minutes);
    println!("Soak of {} min, seed {seed}. In each lane: {}.\n", options.minutes, clients::description());
    let lanes = options.through.lanes();
    for through in lanes {
        println!("{}", report::schedule(*through, course, &course.faults(seed, *through)));
    }
    if options.plan {
        return Ok(ExitCode::SUCCESS);
    }
    poolgate_e2e::binary()?;
    let mut running = JoinSet::new();
    for through in lanes.iter().copied() {
        let folder = fresh(&options.out.join(report::through(through)))?;
        let others = options.others;
        running.spawn(async move {
            (through, lane::run(through, seed, course, &course.faults(seed, through), others, &folder).await)
        });
    }
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            stopped = asked_to_stop() => {
                // All started processes end with the lanes.
                running.shutdown().await;
                bail!("stopped by {}", stopped?);
            }
            ended = running.join_next() => match ended.transpose()? {
                Some((_, Ok(record))) => records.push(record),
                Some((through, Err(error))) => errors.push(format!("{}: {error:#}", report::through(through))),
                None => break,
            },
        }
    }
    let code = conclude(&options, &records)?;
    ensure!(errors.is_empty(), "a lane came to no end: {}", errors.join("; "));
    Ok(code)
}

async fn asked_to_stop() -> Result<&'static str> {
    let [mut interrupt, mut terminate] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

fn conclude(options: &Options, records: &[Record]) -> Result<ExitCode> {
    let least = f64::from(options.least) / 100.0;
    let mut documents = Vec::new();
    let mut failed = Vec::new();
    for record in records {
        let (effects, verdicts) = (verdict::effects(record, least), verdict::judge(record, least));
        println!("{}", report::summary(record, &verdict::phases(record), &effects, &verdicts));
        let name = report::through(record.through);
        let picture = options.out.join(format!("goodput-{name}.svg"));
        plot::draw(record, &picture)?;
        println!("Goodput over time: {}", picture.display());
        let fails = |verdict: &&Verdict| verdict.holds == Some(false);
        failed.extend(verdicts.iter().filter(fails).map(|verdict| format!("{name}: {}", verdict.about)));
        documents.push(document(record, &effects, &verdicts)?);
    }
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_vec(&documents)?).with_context(|| file.display().to_string())?;
    }
    if failed.is_empty() {
        println!("The soak holds.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("The soak fails: {}.", failed.join("; "));
    Ok(ExitCode::FAILURE)
}

fn document(record: &Record, effects: &[verdict::Effect], verdicts: &[Verdict]) -> Result<Value> {
    let mut document = serde_json::to_value(record)?;
    document["effects"] = json!(effects);
    document["verdicts"] = json!(verdicts);
    Ok(document)
}

/// An empty folder, as an absolute path: it is the program's working directory.
fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    Ok(folder.canonicalize()?)
}

fn minutes(text: &str) -> Result<f64, String> {
    let (least, greatest) = course::MINUTES;
    let minutes: f64 = text.parse().map_err(|_| format!("not a number: {text}"))?;
    if (least..=greatest).contains(&minutes) { Ok(minutes) } else { Err(format!("not from {least} to {greatest}")) }
}

impl Ways {
    fn lanes(self) -> &'static [Through] {
        match self {
            Self::Direct => &[Through::Direct],
            Self::Pgbouncer => &[Through::Pgbouncer],
            Self::Both => &[Through::Direct, Through::Pgbouncer],
        }
    }
}
