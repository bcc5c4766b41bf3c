//! One run of each scheme, second by second: a row for each scheme, a column for each figure.

use poolgate_sim::{meter::Second, scenario::Scenario};

use super::{
    canvas::{Anchor, Canvas, Field, Point},
    scale::Scale,
};
use crate::{batch, setup::Setup};

/// A column.
struct Figure {
    title: &'static str,
    colour: &'static str,
    /// Its value in a second, and what users wished for in the same unit, if it has that unit.
    value: fn(&Second, Rates) -> Option<f64>,
    wished: Option<fn(&Second, Rates) -> f64>,
    /// The scale ends here, or at the highest value if that is more.
    least_end: f64,
    /// Above this end the scale is logarithmic.
    longest_linear: f64,
}

/// What counts are divided by.
#[derive(Clone, Copy)]
struct Rates {
    capacity: f64,
    peak: f64,
}

const FIGURES: [Figure; 3] = [
    Figure {
        title: "answered in time, % of the best possible",
        colour: "#0a9b74",
        value: |second, rates| Some(f64::from(second.served) / rates.peak * 100.0),
        wished: None,
        least_end: 110.0,
        longest_linear: f64::INFINITY,
    },
    Figure {
        title: "arrivals, × capacity (dotted: wished)",
        colour: "#d9611a",
        value: |second, rates| Some(f64::from(second.arrived) / rates.capacity),
        wished: Some(|second, rates| f64::from(second.wished) / rates.capacity),
        least_end: 1.25,
        longest_linear: 5.0,
    },
    Figure {
        title: "fair rate, requests/s for each client",
        colour: "#2f86c9",
        value: |second, _| second.fair_rate,
        wished: None,
        least_end: 0.0,
        longest_linear: f64::INFINITY,
    },
];

const WIDTH: f64 = 920.0;
const TOP: f64 = 128.0;
/// Height of a row's field, and of a row.
const FIELD_HEIGHT: f64 = 74.0;
const ROW_HEIGHT: f64 = 124.0;
const LEFT: f64 = 46.0;
/// Between two columns: room for the values at the axis.
const GAP: f64 = 46.0;

/// The runs with the first seed of schemes in one set-up.
pub(super) fn draw(results: &[batch::Result]) -> String {
    let mut canvas = Canvas::new();
    let height = TOP + ROW_HEIGHT * results.len() as f64 + 28.0;
    if let Some(first) = results.first() {
        head(&mut canvas, &first.case.setup);
        let figures = figures(results);
        let width = (WIDTH - LEFT - 14.0 - GAP * (figures.len() - 1) as f64) / figures.len() as f64;
        for (number, figure) in figures.into_iter().enumerate() {
            let left = LEFT + (width + GAP) * number as f64;
            column(&mut canvas, figure, results, (left, left + width));
        }
        for (row, result) in results.iter().enumerate() {
            let place = (LEFT, TOP + ROW_HEIGHT * row as f64 - 8.0);
            canvas.text(place, Anchor::Start, &result.case.contender.label(), "style='font-weight:600'");
        }
    }
    canvas.finish(WIDTH, height)
}

fn head(canvas: &mut Canvas, setup: &Setup) {
    let load = format!("{}; load up to {}; seed 1", setup.clients(), setup.scenario.peak_load());
    canvas.head(&setup.scenario.title, &[format!("{}: {load}", setup.name), setup.describe(1)]);
}

/// Those that some run has.
fn figures(results: &[batch::Result]) -> Vec<&'static Figure> {
    FIGURES.iter().filter(|figure| results.iter().any(|result| !values(figure, result).is_empty())).collect()
}

fn column(canvas: &mut Canvas, figure: &Figure, results: &[batch::Result], (left, right): (f64, f64)) {
    canvas.text((left, TOP - 34.0), Anchor::Start, figure.title, "");
    for (row, result) in results.iter().enumerate() {
        let top = TOP + ROW_HEIGHT * row as f64;
        let field = Field { left, right, top, bottom: top + FIELD_HEIGHT };
        let y = vertical(figure, results, field);
        let scenario = &result.case.setup.scenario;
        let x = Scale::linear((0.0, scenario.seconds.into()), (left, right));
        if values(figure, result).is_empty() {
            let middle = ((left + right) / 2.0, top + FIELD_HEIGHT / 2.0);
            canvas.text(middle, Anchor::Middle, "none", "");
            continue;
        }
        mark_faults(canvas, scenario, field, x);
        field.grid(canvas, y, &y.ticks(3));
        lines(canvas, figure, result, x, y);
        mark_seconds(canvas, field, x);
    }
}

fn lines(canvas: &mut Canvas, figure: &Figure, result: &batch::Result, x: Scale, y: Scale) {
    let rates = rates(&result.case.setup.scenario);
    if let Some(wished) = figure.wished {
        let points = seconds(result).map(|(at, second)| (x.at(at), y.at(wished(second, rates))));
        canvas.line(&points.collect::<Vec<_>>(), "class='wished'");
    }
    // A second without a value ends a line; the next one begins another.
    let mut line: Vec<Point> = Vec::new();
    for (at, value) in seconds(result).map(|(at, second)| (at, (figure.value)(second, rates))).chain([(0.0, None)]) {
        match value {
            Some(value) => line.push((x.at(at), y.at(value))),
            None if line.is_empty() => {}
            None => {
                if let [(x, y)] = line[..] {
                    line.push((x + 1.0, y));
                }
                canvas.line(&line, &format!("stroke='{}' stroke-width='1.6'", figure.colour));
                line.clear();
            }
        }
    }
}

/// The same for all rows, so that they can be compared.
fn vertical(figure: &Figure, results: &[batch::Result], field: Field) -> Scale {
    let values = || results.iter().flat_map(|result| values(figure, result));
    let end = values().fold(figure.least_end, f64::max);
    let pixels = (field.bottom, field.top);
    if end > figure.longest_linear {
        return Scale::logarithmic((0.1, end), pixels);
    }
    Scale::linear((0.0, end), pixels)
}

fn mark_faults(canvas: &mut Canvas, scenario: &Scenario, field: Field, x: Scale) {
    for fault in &scenario.faults {
        field.shade(canvas, x.at(fault.at), x.at(fault.at + fault.seconds));
    }
}

fn mark_seconds(canvas: &mut Canvas, field: Field, x: Scale) {
    for second in x.ticks(4) {
        let text = if second == 0.0 { "0 s".to_owned() } else { second.to_string() };
        canvas.text((x.at(second), field.bottom + 16.0), Anchor::Middle, &text, "");
    }
}

fn values(figure: &Figure, result: &batch::Result) -> Vec<f64> {
    let rates = rates(&result.case.setup.scenario);
    let all = seconds(result).flat_map(|(_, second)| {
        let value = (figure.value)(second, rates);
        [value, figure.wished.map(|wished| wished(second, rates))]
    });
    all.flatten().collect()
}

/// The middle of each second of the first run, and what happened in it.
fn seconds(result: &batch::Result) -> impl Iterator<Item = (f64, &Second)> {
    let length = result.case.setup.scenario.seconds as usize;
    let seconds = result.reports.iter().take(1).flat_map(move |report| report.meter.seconds.iter().take(length));
    seconds.enumerate().map(|(number, second)| (number as f64 + 0.5, second))
}

fn rates(scenario: &Scenario) -> Rates {
    Rates { capacity: scenario.capacity(), peak: poolgate_sim::peak(scenario) }
}
