//! The same figures as pictures.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*, style::RGBColor};

use super::{
    figures::Figures,
    report::{Spread, names, of},
    results::Row,
};

const SIZE: (u32, u32) = (900, 460);
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(0x0b, 0x6e, 0x4f);
const OTHERS: RGBColor = RGBColor(0x8a, 0x8f, 0x98);
const WARNING: RGBColor = RGBColor(0xb3, 0x3a, 0x3a);

/// Draws what there are results for.
pub(super) fn draw(rows: &[Row], folder: &Path) -> Result<()> {
    let goodput = |figures: &Figures| figures.goodput_of_peak * 100.0;
    let arrivals = |figures: &Figures| figures.arrivals_of_peak;
    let file = |name: &str| folder.join(format!("overload-{name}.svg"));
    bars(rows, &file("goodput"), "Ten times the demand: goodput, % of the database's peak", goodput)?;
    bars(rows, &file("arrivals"), "Ten times the demand: requests that reach the server / peak", arrivals)?;
    pulse(rows, &file("pulse"))
}

/// One bar for each contender, its range as a line.
fn bars(rows: &[Row], file: &Path, title: &str, figure: fn(&Figures) -> f64) -> Result<()> {
    let names: Vec<&str> = names(rows).into_iter().filter(|name| name.starts_with("10x/")).collect();
    let spreads: Vec<(&str, Spread)> =
        names.iter().filter_map(|name| Some((*name, Spread::of(of(rows, name).map(figure))?))).collect();
    if spreads.is_empty() {
        return Ok(());
    }
    let most = spreads.iter().map(|(_, spread)| spread.greatest).fold(0.0, f64::max) * 1.08;
    let count = spreads.len() as f64;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..most, 0.0..count)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (index, (name, spread)) in spreads.iter().enumerate() {
        let top = count - index as f64;
        let contender = name.trim_start_matches("10x/");
        let color = if contender.starts_with("poolgate") { OURS } else { OTHERS };
        let bar = Rectangle::new([(0.0, top - 0.85), (spread.median, top - 0.15)], color.filled());
        let range = PathElement::new([(spread.least, top - 0.5), (spread.greatest, top - 0.5)], BLACK);
        chart.draw_series([bar]).map_err(failed)?;
        chart.draw_series([range]).map_err(failed)?;
        let (x, y) = chart.backend_coord(&(0.0, top - 0.5));
        label(&area, contender, (x - 8, y - 7))?;
    }
    area.present().map_err(failed)
}

/// Right-aligned, left of an axis.
fn label(area: &DrawingArea<SVGBackend<'_>, Shift>, text: &str, at: (i32, i32)) -> Result<()> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let style = TextStyle::from((FONT, 13)).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw_text(text, &style, at).map_err(failed)
}

/// Goodput second by second, of the first seed.
fn pulse(rows: &[Row], file: &Path) -> Result<()> {
    let lines: Vec<(&str, Vec<(f64, f64)>)> = names(rows)
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("pulse/")?, of(rows, name).next()?)))
        .map(|(contender, figures)| {
            let peak = figures.goodput / figures.goodput_of_peak;
            let at = |(second, load): (usize, &crate::wire::LoadSecond)| {
                (second as f64, f64::from(load.served) / peak * 100.0)
            };
            (contender, figures.seconds.iter().enumerate().map(at).collect())
        })
        .collect();
    let length = lines.iter().map(|(_, line)| line.len()).max().unwrap_or(0);
    if length == 0 {
        return Ok(());
    }
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("0.6, then 4, then 0.6 times the peak: goodput each second, % of the peak", (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..length as f64 - 1.0, 0.0..120.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (contender, line) in lines {
        let color = match contender {
            "poolgate" => OURS,
            "none" => WARNING,
            _ => OTHERS,
        };
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))
            .map_err(failed)?
            .label(contender)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 13))
        .draw()
        .map_err(failed)?;
    area.present().map_err(failed)
}

/// The library's errors borrow what they are about.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot: {error}")
}
