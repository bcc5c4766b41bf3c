//! The table: a row for each scheme, medians over the seeds above their ranges.

use std::{collections::BTreeSet, sync::Arc};

use comfy_table::{CellAlignment, Table, presets};
use poolgate_sim::report::Report;

use crate::{
    batch,
    plan::Case,
    setup::{Setup, thousands},
    statistics::Spread,
};

/// A column of figures.
struct Figure {
    heading: &'static str,
    value: fn(&Report) -> f64,
    /// Digits behind the point; one less for values from 10 on.
    digits: usize,
}

const FIGURES: &[Figure] = &[
    Figure { heading: "goodput\n% peak", value: |report| report.goodput * 100.0, digits: 2 },
    Figure { heading: "arrivals\n×capac.", value: |report| report.arrivals, digits: 2 },
    Figure { heading: "rejec-\nted %", value: |report| report.rejected * 100.0, digits: 1 },
    Figure { heading: "wait\np99 ms", value: |report| report.wait.1 * 1000.0, digits: 0 },
    Figure { heading: "latency\np50 s", value: |report| report.latency.0, digits: 2 },
    Figure { heading: "latency\np99 s", value: |report| report.latency.1, digits: 2 },
    Figure { heading: "Jain's\nindex %", value: |report| report.jain * 100.0, digits: 2 },
    Figure { heading: "least %\nmedian", value: |report| report.least_to_median * 100.0, digits: 0 },
    Figure { heading: "varia-\ntion %", value: |report| report.variation * 100.0, digits: 1 },
    Figure { heading: "worst\nsec. %", value: |report| report.worst_second * 100.0, digits: 0 },
    Figure { heading: "levels\n/min", value: |report| report.level_changes, digits: 1 },
    Figure { heading: "limi-\nted %", value: |report| report.limited * 100.0, digits: 0 },
];

/// One table for each scenario, in the order of the results.
pub(crate) fn tables(results: &[batch::Result]) -> Vec<String> {
    let of_one_scenario = results.chunk_by(|a, b| a.case.setup.name == b.case.setup.name);
    of_one_scenario.map(table).collect()
}

fn table(results: &[batch::Result]) -> String {
    let columns = Columns::of(results);
    let mut table = plain(columns.headings());
    let of_one_setup = results.chunk_by(|a, b| Arc::ptr_eq(&a.case.setup, &b.case.setup));
    for (number, results) in of_one_setup.enumerate() {
        if number > 0 {
            table.add_row([""]);
        }
        for result in results {
            table.add_row(columns.keys(&result.case).chain(FIGURES.iter().map(|figure| cell(figure, &result.reports))));
        }
    }
    let clusters: String = results.iter().filter_map(cluster).collect();
    format!("{}\n\n{}\n{clusters}", columns.title(results), aligned(table))
}

/// What the replicas of a cluster cost and keep, in a line; `None` for a single server.
fn cluster(result: &batch::Result) -> Option<String> {
    let settings = result.case.setup.scenario.cluster?;
    let each = |figure: fn(&Report) -> f64| Spread::of(result.reports.iter().map(figure));
    let exchanges = each(|report| report.meter.cluster.exchanges as f64 / report.meter.cluster.replica_seconds);
    let messages = each(|report| report.meter.cluster.messages as f64 / report.meter.cluster.replica_seconds);
    let connections = each(|report| f64::from(report.meter.cluster.most_connections));
    let older = each(|report| report.meter.seconds.iter().map(|second| f64::from(second.older_configs)).sum());
    Some(format!(
        "{}: {:.2} exchanges and {:.2} messages a second for each replica; at most {:.0} of {} connections; at most {:.0} \
         clients went back to an older config of the cluster\n",
        result.case.contender.label(),
        exchanges.median,
        messages.median,
        connections.most,
        settings.connections,
        older.most,
    ))
}

/// A table without lines.
pub(crate) fn plain(headings: impl Iterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings);
    table
}

/// Figures to the right; the first column is left as it is. Without spaces at the ends of lines.
pub(crate) fn aligned(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
        if column.index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn cell(figure: &Figure, reports: &[Report]) -> String {
    let Spread { median, least, most } = Spread::of(reports.iter().map(figure.value));
    let text = |value: f64| {
        let digits = if value < 10.0 { figure.digits } else { figure.digits.saturating_sub(1) };
        format!("{value:.digits$}")
    };
    if text(least) == text(most) { text(median) } else { format!("{}\n{}–{}", text(median), text(least), text(most)) }
}

/// The key columns. A key with the same value in all rows stands above the table instead.
struct Columns {
    clients: bool,
    load: bool,
}

impl Columns {
    fn of(results: &[batch::Result]) -> Self {
        let several = |key: fn(&Setup) -> u64| {
            results.iter().map(|result| key(&result.case.setup)).collect::<BTreeSet<_>>().len() > 1
        };
        Self {
            clients: several(|setup| setup.scenario.clients.into()),
            load: several(|setup| setup.scenario.peak_load().to_bits()),
        }
    }

    fn title(&self, results: &[batch::Result]) -> String {
        let Some(first) = results.first() else { return String::new() };
        let setup = &first.case.setup;
        let mut title = format!("{}: {}", setup.name, setup.scenario.title);
        if !self.clients {
            title += &format!("; {}", setup.clients());
        }
        if !self.load {
            title += &format!("; load up to {}", setup.scenario.peak_load());
        }
        format!("{title}{}\n{}", batch::what_was_set(results), setup.describe(first.reports.len()))
    }

    fn headings(&self) -> impl Iterator<Item = String> {
        let keys = [Some("scheme"), self.clients.then_some("clients"), self.load.then_some("load")];
        keys.into_iter().flatten().chain(FIGURES.iter().map(|figure| figure.heading)).map(str::to_owned)
    }

    fn keys(&self, case: &Case) -> impl Iterator<Item = String> {
        let scenario = &case.setup.scenario;
        let keys = [
            Some(case.contender.name.to_owned()),
            self.clients.then(|| thousands(scenario.clients)),
            self.load.then(|| scenario.peak_load().to_string()),
        ];
        keys.into_iter().flatten()
    }
}
