//! A figure over the offered load, one curve for each scheme.

use poolgate_sim::report::Report;

use super::{
    canvas::{Anchor, Canvas, Field, Point},
    scale::{Scale, label},
};
use crate::{batch, statistics::Spread};

/// A figure that is drawn.
pub(super) struct Figure {
    /// In the file's name.
    pub(super) name: &'static str,
    title: &'static str,
    unit: &'static str,
    value: fn(&Report) -> f64,
    logarithmic: bool,
}

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "goodput",
        title: "Goodput against offered load",
        unit: "answered in time, % of the best possible",
        value: |report| report.goodput * 100.0,
        logarithmic: false,
    },
    Figure {
        name: "arrivals",
        title: "Arrivals at the server against offered load",
        unit: "arrivals, × capacity",
        value: |report| report.arrivals,
        logarithmic: true,
    },
];

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 480.0;
/// The plot's field.
const FIELD: Field = Field { left: 48.0, right: 640.0, top: 104.0, bottom: 430.0 };
/// Labels closer than this would overlap.
const LABEL_HEIGHT: f64 = 14.0;

/// Hues that are told apart by the colour-blind, each dark and bright enough for either ground.
const HUES: [&str; 7] = ["#2f86c9", "#0a9b74", "#b9689c", "#9a8000", "#4fa3b8", "#8b74d6", "#7b848e"];
const DASHES: [&str; 3] = ["", "7 3", "2 3"];
/// Poolgate's own, which is the last of all schemes.
const OURS: &str = "#d9611a";

/// The curve of one scheme: at each load the spread over the seeds.
struct Curve {
    name: &'static str,
    look: Look,
    points: Vec<(f64, Spread)>,
}

#[derive(Clone, Copy)]
struct Look {
    colour: &'static str,
    dash: &'static str,
    width: f64,
}

/// Nothing where there is but one load.
pub(super) fn draw(figure: &Figure, results: &[batch::Result]) -> Option<String> {
    let setup = &results.first()?.case.setup;
    let curves = curves(figure, results);
    let loads: Vec<f64> = curves.first()?.points.iter().map(|(load, _)| *load).filter(|load| *load > 0.0).collect();
    if loads.len() < 2 {
        return None;
    }
    let x = Scale::logarithmic((loads[0], loads[loads.len() - 1]), (FIELD.left, FIELD.right));
    let y = vertical(figure, &curves);
    let mut canvas = Canvas::new();
    let seeds = results.first()?.reports.len();
    let set = batch::what_was_set(results);
    let about = format!("{}: {}; {}{set}", setup.name, setup.scenario.title, setup.clients());
    canvas.head(figure.title, &[about, setup.describe(seeds)]);
    canvas.text((12.0, 88.0), Anchor::Start, figure.unit, "");
    FIELD.grid(&mut canvas, y, &y.ticks(6));
    mark_loads(&mut canvas, x, &loads);
    for curve in &curves {
        draw_curve(&mut canvas, curve, x, y);
    }
    label_curves(&mut canvas, &curves, y);
    Some(canvas.finish(WIDTH, HEIGHT))
}

fn curves(figure: &Figure, results: &[batch::Result]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for result in results {
        let name = result.case.contender.name;
        let place = curves.iter().position(|curve| curve.name == name).unwrap_or_else(|| {
            let look = look(curves.len(), result.case.contender.name == "poolgate");
            curves.push(Curve { name, look, points: Vec::new() });
            curves.len() - 1
        });
        let load = result.case.setup.scenario.peak_load();
        curves[place].points.push((load, Spread::of(result.reports.iter().map(figure.value))));
    }
    curves
}

fn look(number: usize, ours: bool) -> Look {
    if ours {
        return Look { colour: OURS, dash: "", width: 3.0 };
    }
    Look { colour: HUES[number % HUES.len()], dash: DASHES[number / HUES.len() % DASHES.len()], width: 1.6 }
}

/// From zero, or over all values where the scale is logarithmic.
fn vertical(figure: &Figure, curves: &[Curve]) -> Scale {
    let spreads = || curves.iter().flat_map(|curve| &curve.points).map(|(_, spread)| spread);
    let most = spreads().map(|spread| spread.most).fold(0.0, f64::max);
    let least = spreads().map(|spread| spread.least).filter(|least| *least > 0.0).fold(most, f64::min);
    let pixels = (FIELD.bottom, FIELD.top);
    if figure.logarithmic {
        Scale::logarithmic(((least / 1.15).max(1e-3), (most * 1.15).max(1e-2)), pixels)
    } else {
        Scale::linear((0.0, most.max(104.0)), pixels)
    }
}

fn mark_loads(canvas: &mut Canvas, x: Scale, loads: &[f64]) {
    let mut free_from = f64::NEG_INFINITY;
    for load in loads {
        let place = x.at(*load);
        canvas.line(&[(place, FIELD.bottom), (place, FIELD.bottom + 4.0)], "class='grid'");
        if place > free_from {
            canvas.text((place, FIELD.bottom + 18.0), Anchor::Middle, &label(*load), "");
            free_from = place + 24.0;
        }
    }
    let middle = (FIELD.left + FIELD.right) / 2.0;
    canvas.text((middle, FIELD.bottom + 38.0), Anchor::Middle, "offered load, × capacity", "");
}

fn draw_curve(canvas: &mut Canvas, curve: &Curve, x: Scale, y: Scale) {
    let Look { colour, dash, width } = curve.look;
    let along = |value: fn(&Spread) -> f64| {
        curve.points.iter().map(move |(load, spread)| (x.at(*load), y.at(value(spread)))).collect::<Vec<Point>>()
    };
    let band: Vec<Point> =
        along(|spread| spread.most).into_iter().chain(along(|spread| spread.least).into_iter().rev()).collect();
    canvas.area(&band, &format!("style='fill:{colour};fill-opacity:.2'"));
    let style = format!("stroke='{colour}' stroke-width='{width}' stroke-dasharray='{dash}'");
    canvas.line(&along(|spread| spread.median), &style);
}

/// Each curve's name at its end; names that would overlap make room for each other.
fn label_curves(canvas: &mut Canvas, curves: &[Curve], y: Scale) {
    let end = |curve: &Curve| curve.points.last().map_or(FIELD.bottom, |(_, spread)| y.at(spread.median));
    let mut order: Vec<(f64, &Curve)> = curves.iter().map(|curve| (end(curve), curve)).collect();
    order.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let places = apart(&order.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    for ((at, curve), place) in order.into_iter().zip(places) {
        let colour = curve.look.colour;
        let leader =
            [(FIELD.right, at), (FIELD.right + 6.0, at), (FIELD.right + 18.0, place), (FIELD.right + 24.0, place)];
        canvas.line(&leader, &format!("stroke='{colour}'"));
        let weight = if curve.look.colour == OURS { "bold" } else { "normal" };
        let style = format!("style='fill:{colour};font-weight:{weight}'");
        canvas.text((FIELD.right + 28.0, place + 4.0), Anchor::Start, curve.name, &style);
    }
}

/// Moves rising places apart, down first and then, from the bottom, up.
fn apart(places: &[f64]) -> Vec<f64> {
    let mut free_from = f64::NEG_INFINITY;
    let mut moved: Vec<f64> = Vec::with_capacity(places.len());
    for place in places {
        moved.push(place.max(free_from));
        free_from = place.max(free_from) + LABEL_HEIGHT;
    }
    let mut free_to = FIELD.bottom;
    for place in moved.iter_mut().rev() {
        *place = place.min(free_to);
        free_to = *place - LABEL_HEIGHT;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_make_room_for_each_other() {
        assert_eq!(apart(&[110.0, 112.0, 300.0]), [110.0, 124.0, 300.0]);
        assert_eq!(apart(&[425.0, 429.0, 430.0]), [402.0, 416.0, 430.0]);
    }
}
