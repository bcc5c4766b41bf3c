//! Tables, for the terminal and for a document.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    figures::{DISTURBED, Figures},
    plots,
    results::{Results, Row},
};
use crate::document;

/// Names the marks between which a document holds what was measured.
const MARK: &str = "overload";

/// Prints the tables, writes them and the plots into `folder`, and into the document where there is one.
pub(super) fn write(results: &Results, folder: &Path, document: Option<&Path>) -> Result<()> {
    let tables = tables(results.rows());
    println!("{tables}");
    fs::write(folder.join("tables.md"), &tables)?;
    plots::draw(results.rows(), folder)?;
    if let Some(document) = document {
        let plots = document.parent().context("a document is in a folder")?.join("plots");
        fs::create_dir_all(&plots)?;
        plots::draw(results.rows(), &plots)?;
        document::put(document, MARK, &tables)?;
    }
    Ok(())
}

/// The median of the seeds, and the range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) greatest: f64,
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = if sorted.len().is_multiple_of(2) { *sorted.get(middle.checked_sub(1)?)? } else { upper };
        Some(Self { least: *sorted.first()?, median: f64::midpoint(lower, upper), greatest: *sorted.last()? })
    }
}

/// The rows of a run, one for each seed.
pub(super) fn of<'a>(rows: &'a [Row], name: &'a str) -> impl Iterator<Item = &'a Figures> + Clone {
    rows.iter().filter(move |row| row.name == name).map(|row| &row.figures)
}

/// The names of all runs of which there are results, in the order of the plan.
pub(super) fn names(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
}

/// How a table shows a figure.
type Cell = (&'static str, fn(&Figures) -> f64, usize);

const LOAD: [Cell; 11] = [
    ("Goodput, % of peak", |figures| figures.goodput_of_peak * 100.0, 1),
    ("Offered, x peak", |figures| figures.offered_of_peak, 2),
    ("Served, % of wanted", |figures| figures.served_of_wanted * 100.0, 1),
    ("Arrivals, x peak", |figures| figures.arrivals_of_peak, 2),
    ("Rejected, % of arrivals", |figures| figures.rejected_of_arrivals * 100.0, 1),
    ("Acquire wait p50, ms", |figures| figures.acquire_wait_ms.p50, 0),
    ("p99, ms", |figures| figures.acquire_wait_ms.p99, 0),
    ("Latency p50, ms", |figures| figures.latency_ms.p50, 0),
    ("p99, ms", |figures| figures.latency_ms.p99, 0),
    ("Variation of 1 s goodput", |figures| figures.variation, 3),
    ("Level changes a minute", |figures| figures.level_changes_per_minute, 0),
];

const TASKS: [Cell; 6] = [
    ("Goodput, % of peak", |figures| figures.goodput_of_peak * 100.0, 1),
    ("Tasks finished within 10 s, %", |figures| figures.served_of_wanted * 100.0, 1),
    ("Users who gave one up, %", |figures| figures.users_who_gave_up * 100.0, 1),
    ("Arrivals, x peak", |figures| figures.arrivals_of_peak, 2),
    ("Time of a task p50, ms", |figures| figures.latency_ms.p50, 0),
    ("p99, ms", |figures| figures.latency_ms.p99, 0),
];

const FAIRNESS: [Cell; 6] = [
    ("Goodput, % of peak", |figures| figures.goodput_of_peak * 100.0, 1),
    ("Arrivals, x peak", |figures| figures.arrivals_of_peak, 2),
    ("Jain", |figures| figures.jain, 3),
    ("Jain of chance", |figures| figures.jain_of_chance, 3),
    ("Min/median share", |figures| figures.min_of_median, 2),
    ("A rogue's share / another's", |figures| figures.rogue_advantage, 2),
];

const TABS: [Cell; 8] = [
    ("Goodput, % of peak", |figures| figures.goodput_of_peak * 100.0, 1),
    ("Offered, x peak", |figures| figures.offered_of_peak, 2),
    ("Arrivals, x peak", |figures| figures.arrivals_of_peak, 2),
    ("Rejected, % of arrivals", |figures| figures.rejected_of_arrivals * 100.0, 1),
    ("Jain, tabs and native users", |figures| figures.jain, 3),
    ("A tab's share / a native user's", |figures| figures.tab_advantage, 2),
    ("Latency in tabs p50, ms", |figures| figures.tab_latency_ms.p50, 0),
    ("p99, ms", |figures| figures.tab_latency_ms.p99, 0),
];

const PULSE: [Cell; 5] = [
    ("Goodput of all, % of peak", |figures| figures.goodput_of_peak * 100.0, 1),
    ("Worst second, % of peak", |figures| figures.worst_second_of_peak * 100.0, 0),
    ("Sent from the second second on, at most, x peak", |figures| figures.most_sent_of_peak, 2),
    ("Recovered after, s", |figures| figures.recovery_seconds, 0),
    ("Level changes a minute", |figures| figures.level_changes_per_minute, 0),
];

const COST: [Cell; 5] = [
    ("Processor time a request, us", |figures| figures.cpu_us_per_arrival, 0),
    ("Server process, % of its processor", |figures| figures.server_cpu * 100.0, 0),
    ("Load generator, % of its processor", |figures| figures.load_cpu * 100.0, 0),
    ("It waited for its processor, %", |figures| figures.load_cpu_wait * 100.0, 1),
    ("Live clients", |figures| figures.clients, 0),
];

fn tables(rows: &[Row]) -> String {
    let seeds = rows.iter().map(|row| row.seed).max().unwrap_or(0);
    let quick = if rows.iter().any(|row| row.quick) { ", runs of `--quick`, too short to quote" } else { "" };
    let mut text = format!("{seeds} seeds{quick}; medians, and in brackets the range where it shows.\n");
    if let Some(peak) = Spread::of(of(rows, "peak/none").map(|figures| figures.goodput)) {
        text += &format!("The peak is {} requests/s.\n", show(peak, 0));
    }
    let disturbed = rows.iter().filter(|row| row.figures.load_cpu_wait > DISTURBED).count();
    if disturbed > 0 {
        text += &format!("Other work on the machine disturbed {disturbed} of {} runs.\n", rows.len());
    }
    let all = names(rows);
    let with = |part: &str| -> Vec<&str> { all.iter().filter(|name| name.starts_with(part)).copied().collect() };
    let is_constant = |name: &&&str| name.starts_with(|first: char| first.is_ascii_digit());
    let constant: Vec<&str> =
        all.iter().filter(is_constant).filter(|name| !name.starts_with("10x/")).copied().collect();
    text += &table("At constant load", &constant, rows, &LOAD);
    text += &table("From the first second on", &with("cold-"), rows, &LOAD);
    text += &table("With a token to check before the gate", &with("dear-"), rows, &LOAD);
    text += &table("Tasks of three requests", &with("tasks-"), rows, &TASKS);
    text += &table("Ten times the demand, Poolgate and its rivals", &with("10x/"), rows, &LOAD);
    text += &table("What it costs, at ten times the demand", &with("10x/"), rows, &COST);
    text += &rejections(rows, &with("10x/"));
    text += &table("Who gets what", &[with("heavy/"), with("rogues/")].concat(), rows, &FAIRNESS);
    text += &table("Tabs of a real browser among native users", &with("tabs/"), rows, &TABS);
    text += &table("A pulse", &with("pulse/"), rows, &PULSE);
    text
}

fn table(title: &str, names: &[&str], rows: &[Row], cells: &[Cell]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = cells.iter().map(|(head, ..)| *head).collect();
    let mut text =
        format!("\n**{title}**\n\n| Run | {} |\n| --- |{}\n", heads.join(" | "), " ---: |".repeat(cells.len()));
    for name in names {
        text += &format!("| {name} |");
        for (_, figure, digits) in cells {
            let spread = Spread::of(of(rows, name).map(figure));
            text += &format!(" {} |", spread.map_or_else(String::new, |spread| show(spread, *digits)));
        }
        text.push('\n');
    }
    text
}

/// What turning one request away costs the server: what is left of its processor time after that of the requests that it
/// served, each of which is taken to cost what one costs at the peak, where nothing is rejected.
fn rejections(rows: &[Row], names: &[&str]) -> String {
    let cost = |figures: &Figures| figures.server_cpu_seconds * 1e6 / figures.served;
    let Some(served) = Spread::of(of(rows, "peak/none").map(cost)) else { return String::new() };
    let mut text = format!("\nServing one request costs the server process {} us of processor time. ", show(served, 0));
    text += "Turning one away costs:";
    for name in names {
        let rejection =
            |figures: &Figures| (figures.server_cpu_seconds * 1e6 - figures.served * served.median) / figures.rejected;
        let counted = of(rows, name).filter(|figures| figures.rejected > figures.served);
        if let Some(spread) = Spread::of(counted.map(rejection)) {
            text += &format!(" {name} {} us;", show(spread, 0));
        }
    }
    text.trim_end_matches(';').to_owned() + " (where more were turned away than served).\n"
}

/// `97.1 (96.2-97.5)`.
fn show(Spread { least, median, greatest }: Spread, digits: usize) -> String {
    let [least, median, greatest] = [least, median, greatest].map(|value| format!("{value:.digits$}"));
    if least == greatest { median } else { format!("{median} ({least}-{greatest})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 2.0, 9.0].into_iter()).expect("values");
        assert_eq!(spread, Spread { least: 1.0, median: 3.0, greatest: 9.0 });
        assert_eq!(show(spread, 0), "3 (1-9)");
        assert_eq!(show(Spread { least: 1.01, median: 1.02, greatest: 1.03 }, 1), "1.0");
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
