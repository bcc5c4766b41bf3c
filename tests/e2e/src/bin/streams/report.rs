//! The table of results.

use std::fmt;

/// Results of one run.
pub(crate) struct Run {
    pub(crate) streams: usize,
    pub(crate) kilobytes_per_stream: f64,
    pub(crate) socket_kilobytes_per_stream: f64,
    pub(crate) opened_per_second: f64,
    pub(crate) opening_cpu_microseconds: f64,
    pub(crate) idle_cpu_percent: f64,
    pub(crate) broadcasts: usize,
    pub(crate) broadcast_cpu_milliseconds: f64,
    pub(crate) reader_cpu_milliseconds: f64,
    /// For each broadcast the times until each stream had it, in milliseconds, sorted.
    pub(crate) reach: Vec<Vec<f64>>,
}

type Figure = (&'static str, fn(&Run) -> f64);

const FIGURES: [Figure; 13] = [
    ("Server memory per stream, kB", |run| run.kilobytes_per_stream),
    ("Socket buffers per stream (system, both ends), kB", |run| run.socket_kilobytes_per_stream),
    ("Streams opened per second", |run| run.opened_per_second),
    ("Server CPU per opened stream, µs", |run| run.opening_cpu_microseconds),
    ("Server CPU while all are idle, % of one core", |run| run.idle_cpu_percent),
    ("Broadcasts", |run| run.broadcasts as f64),
    ("First stream reached, ms (median of the broadcasts)", |run| run.across(0.0, 0.5)),
    ("Half of the streams, ms (median)", |run| run.across(0.5, 0.5)),
    ("99 % of the streams, ms (median)", |run| run.across(0.99, 0.5)),
    ("**All streams, ms** (median)", |run| run.across(1.0, 0.5)),
    ("All streams, ms (worst broadcast)", |run| run.across(1.0, 1.0)),
    ("Server CPU per broadcast, ms", |run| run.broadcast_cpu_milliseconds),
    ("Subscribers' CPU per broadcast, ms", |run| run.reader_cpu_milliseconds),
];

impl Run {
    /// Time for a broadcast to reach this share of the streams, at this quantile of the broadcasts.
    fn across(&self, share: f64, quantile: f64) -> f64 {
        let mut times: Vec<f64> = self.reach.iter().map(|times| at(times, share)).collect();
        times.sort_by(f64::total_cmp);
        at(&times, quantile)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(FIGURES.map(|(name, figure)| (name, (figure(self) * 10.0).round() / 10.0))).finish()
    }
}

/// Medians of the runs, with their ranges if there are several.
pub(crate) fn markdown(runs: &[Run]) -> String {
    let streams = runs.first().map_or(0, |run| run.streams);
    let mut text = format!("| {streams} streams | median of {} | range |\n| --- | ---: | ---: |\n", runs.len());
    for (name, figure) in FIGURES {
        let mut values: Vec<f64> = runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let [least, median, greatest] = [0.0, 0.5, 1.0].map(|quantile| at(&values, quantile));
        text += &format!("| {name} | {median:.1} | {least:.1} - {greatest:.1} |\n");
    }
    text
}

/// The value at `quantile` (0 to 1) of sorted values.
fn at(sorted: &[f64], quantile: f64) -> f64 {
    let index = (quantile * (sorted.len().saturating_sub(1)) as f64).round();
    sorted.get(index as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn quantiles_are_taken_from_the_values() {
        assert_eq!([0.0, 0.5, 1.0].map(|quantile| at(&[1.0, 2.0, 9.0], quantile)), [1.0, 2.0, 9.0]);
        assert!(at(&[], 0.5).is_nan());
    }
}
