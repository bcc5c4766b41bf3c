//! The results on disk: one line a run in `runs.csv`, one line a second of each in `seconds.csv`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    figures::Figures,
    plan::{Run, Scenario},
};
use crate::wire::LoadSecond;

/// One run's figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// `scenario/contender`.
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) quick: bool,
    pub(super) figures: Figures,
}

/// All runs that were done, in the order in which they were.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
    rows: Vec<Row>,
}

/// A figure's name in `runs.csv`, and its place.
struct Column {
    name: &'static str,
    get: fn(&Figures) -> f64,
    place: fn(&mut Figures) -> &mut f64,
}

macro_rules! columns {
    ($($name:literal: $($field:ident).+,)+) => {
        &[$(Column {
            name: $name,
            get: |figures| figures.$($field).+,
            place: |figures| &mut figures.$($field).+,
        },)+]
    };
}

const COLUMNS: &[Column] = columns! {
    "goodput_per_second": goodput,
    "goodput_of_peak": goodput_of_peak,
    "offered_of_peak": offered_of_peak,
    "served_of_wanted": served_of_wanted,
    "users_who_gave_up": users_who_gave_up,
    "arrivals_of_peak": arrivals_of_peak,
    "rejected_of_arrivals": rejected_of_arrivals,
    "acquire_wait_p50_ms": acquire_wait_ms.p50,
    "acquire_wait_p99_ms": acquire_wait_ms.p99,
    "latency_p50_ms": latency_ms.p50,
    "latency_p99_ms": latency_ms.p99,
    "jain": jain,
    "jain_of_chance": jain_of_chance,
    "min_of_median_share": min_of_median,
    "rogue_advantage": rogue_advantage,
    "tab_advantage": tab_advantage,
    "tab_latency_p50_ms": tab_latency_ms.p50,
    "tab_latency_p99_ms": tab_latency_ms.p99,
    "goodput_variation": variation,
    "level_changes_per_minute": level_changes_per_minute,
    "server_cpu_us_per_arrival": cpu_us_per_arrival,
    "server_cpu": server_cpu,
    "load_cpu": load_cpu,
    "load_cpu_wait": load_cpu_wait,
    "served": served,
    "rejected": rejected,
    "server_cpu_seconds": server_cpu_seconds,
    "clients": clients,
    "worst_second_of_peak": worst_second_of_peak,
    "most_sent_of_peak": most_sent_of_peak,
    "recovery_seconds": recovery_seconds,
};

const RUNS: &str = "runs.csv";
const SECONDS: &str = "seconds.csv";
const SECONDS_HEADER: &str = "run,seed,quick,second,wanted,sent,served,failed,held_back";

impl Results {
    /// Those in `folder` if they are to be kept, otherwise none.
    pub(super) fn open(folder: &Path, keep: bool) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        let mut results = Self { folder: folder.to_owned(), rows: Vec::new() };
        if keep && folder.join(RUNS).exists() {
            results.rows = read(&fs::read_to_string(folder.join(RUNS))?, &fs::read_to_string(folder.join(SECONDS))?)
                .with_context(|| format!("{}: not what this version writes", folder.display()))?;
        } else {
            let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
            fs::write(folder.join(RUNS), format!("run,seed,quick,{}\n", names.join(",")))?;
            fs::write(folder.join(SECONDS), format!("{SECONDS_HEADER}\n"))?;
        }
        Ok(results)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn has(&self, run: &Run) -> bool {
        let name = run.name();
        self.rows.iter().any(|row| row.name == name && row.seed == run.seed && row.quick == run.quick)
    }

    /// The peak of a seed, requests a second.
    pub(super) fn peak(&self, seed: u64, quick: bool) -> Option<f64> {
        let peak = self.rows.iter().find(|row| row.seed == seed && row.quick == quick && is_peak(row));
        peak.map(|row| row.figures.goodput)
    }

    /// Writes a run down.
    pub(super) fn add(&mut self, run: &Run, figures: &Figures) -> Result<()> {
        let row = Row { name: run.name(), seed: run.seed, quick: run.quick, figures: figures.clone() };
        // The seconds first: a run that is in runs.csv is complete.
        let mut seconds = String::new();
        for (index, second) in figures.seconds.iter().enumerate() {
            let LoadSecond { wanted, sent, served, failed, held_back, .. } = second;
            seconds += &format!("{},{index},{wanted},{sent},{served},{failed},{held_back}\n", key(&row));
        }
        append(&self.folder.join(SECONDS), &seconds)?;
        let values: Vec<String> = COLUMNS.iter().map(|column| format!("{:.6}", (column.get)(figures))).collect();
        append(&self.folder.join(RUNS), &format!("{},{}\n", key(&row), values.join(",")))?;
        self.rows.push(row);
        Ok(())
    }
}

fn is_peak(row: &Row) -> bool {
    row.name.starts_with(&format!("{}/", Scenario::Peak.name()))
}

fn key(row: &Row) -> String {
    format!("{},{},{}", row.name, row.seed, row.quick)
}

fn append(file: &Path, text: &str) -> Result<()> {
    Ok(File::options().append(true).open(file)?.write_all(text.as_bytes())?)
}

fn read(runs: &str, seconds: &str) -> Result<Vec<Row>> {
    let mut seconds_of: BTreeMap<String, Vec<LoadSecond>> = BTreeMap::new();
    for line in seconds.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [run, seed, quick, _, wanted, sent, served, failed, held_back] = cells[..] else {
            anyhow::bail!("{SECONDS}: {line:?}");
        };
        let second = LoadSecond {
            wanted: wanted.parse()?,
            sent: sent.parse()?,
            served: served.parse()?,
            failed: failed.parse()?,
            held_back: held_back.parse()?,
            ..LoadSecond::default()
        };
        seconds_of.entry(format!("{run},{seed},{quick}")).or_default().push(second);
    }
    let mut rows = Vec::new();
    for line in runs.lines().skip(1) {
        let mut cells = line.split(',');
        let mut next = || cells.next().with_context(|| format!("{RUNS}: {line:?}"));
        let (name, seed, quick) = (next()?.to_owned(), next()?.parse()?, next()?.parse()?);
        let mut row = Row { name, seed, quick, figures: Figures::default() };
        for column in COLUMNS {
            *(column.place)(&mut row.figures) = next()?.parse()?;
        }
        ensure!(cells.next().is_none(), "{RUNS}: {line:?}");
        row.figures.seconds = seconds_of.remove(&key(&row)).unwrap_or_default();
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan;

    #[test]
    fn results_are_read_as_they_were_written() {
        let folder = std::env::temp_dir().join(format!("poolgate-lab-results-{}", std::process::id()));
        let mut results = Results::open(&folder, false).expect("a folder");
        let runs = plan::runs(2, true);
        for run in runs.iter().take(3) {
            let mut figures = Figures { goodput: 391.5, jain: 0.25, ..Figures::default() };
            figures.seconds =
                vec![LoadSecond { wanted: 3, sent: 4, served: 2, failed: 1, held_back: 5, ..LoadSecond::default() }; 2];
            results.add(run, &figures).expect("written");
        }
        let again = Results::open(&folder, true).expect("read");
        assert_eq!(again.rows, results.rows);
        assert!(again.has(&runs[2]) && !again.has(&runs[3]));
        assert_eq!((again.peak(1, true), again.peak(2, true), again.peak(1, false)), (Some(391.5), None, None));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
