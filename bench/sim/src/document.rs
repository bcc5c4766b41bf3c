//! Puts tables into a document, between a pair of marks.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{batch, statistics::Spread};

/// Puts a table between the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
pub(crate) fn insert(document: &Path, name: &str, table: &str) -> Result<()> {
    let path = document.display();
    let text = fs::read_to_string(document).with_context(|| format!("cannot read {path}"))?;
    let text = replace(&text, name, table).with_context(|| format!("in {path}"))?;
    fs::write(document, text).with_context(|| format!("cannot write {path}"))
}

fn replace(text: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin).with_context(|| format!("there is no line `{begin}`"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("there is no line `{end}` after `{begin}`"))?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim_end()))
}

/// A row for each scheme: goodput at each load, and further figures at the highest. Medians.
pub(crate) fn comparison(results: &[batch::Result]) -> String {
    let load = |result: &batch::Result| result.case.setup.scenario.peak_load();
    let mut loads: Vec<f64> = results.iter().map(load).collect();
    loads.dedup();
    let highest = loads.last().copied().unwrap_or_default();
    let heads = loads.iter().map(|load| format!(" {load}x |")).collect::<String>();
    let mut table =
        format!("| scheme |{heads} arrivals at {highest}x | rejected | wait p99, ms | latency p50, s | Jain |\n");
    table += &format!("| --- |{}\n", " ---: |".repeat(loads.len() + 5));
    for last in results.iter().filter(|result| load(result) == highest) {
        let name = last.case.contender.label();
        let of_scheme = results.iter().filter(|result| result.case.contender.label() == name);
        let goodput = of_scheme.map(|result| format!(" {} |", percent(median(result, |report| report.goodput))));
        table += &format!(
            "| {name} |{} {:.2} | {} | {:.0} | {:.2} | {:.3} |\n",
            goodput.collect::<String>(),
            median(last, |report| report.arrivals),
            percent(median(last, |report| report.rejected)),
            1000.0 * median(last, |report| report.wait.1),
            median(last, |report| report.latency.0),
            median(last, |report| report.jain),
        );
    }
    table
}

fn median(result: &batch::Result, figure: fn(&poolgate_sim::report::Report) -> f64) -> f64 {
    Spread::of(result.reports.iter().map(figure)).median
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- x: begin -->\n\nold\n\n<!-- x: end -->\nb\n";
        assert_eq!(replace(text, "x", "new\n").expect("both marks"), text.replace("old", "new"));
        assert!(format!("{:#}", replace(text, "y", "").expect_err("no marks")).contains("<!-- y: begin -->"));
    }
}
