//! Plots the goodput of the honest clients over time, with the faults shaded.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{prelude::*, style::RGBColor};

use crate::{lane::Record, report, tally::Class};

const SIZE: (u32, u32) = (1200, 420);
const FONT: &str = "sans-serif";
const OBEYING: RGBColor = RGBColor(0x0b, 0x6e, 0x4f);
const PLAIN: RGBColor = RGBColor(0x3a, 0x5f, 0xb3);
const FAULT: RGBColor = RGBColor(0xb3, 0x3a, 0x3a);
const RECOVERY: RGBColor = RGBColor(0xe0, 0xa0, 0x50);

/// Writes the plot as SVG.
///
/// # Errors
///
/// The file cannot be written.
pub fn draw(record: &Record, file: &Path) -> Result<()> {
    let end = record.course.crowd_seconds().end as f64;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let title = format!(
        "{}, seed {}: share of the honest clients' wishes that was served, %",
        report::through(record.through),
        record.seed
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..end, 0.0..105.0)
        .map_err(failed)?;
    let shade = |from: f64, to: f64, color: RGBColor, strength: f64| {
        Rectangle::new([(from, 0.0), (to.min(end), 105.0)], color.mix(strength).filled())
    };
    let recoveries = record.faults.iter().map(|fault| shade(fault.ended, fault.outage().end as f64, RECOVERY, 0.25));
    chart.draw_series(recoveries).map_err(failed)?;
    let faults = record.faults.iter().map(|fault| shade(fault.began, fault.ended.max(fault.began + 1.0), FAULT, 0.3));
    chart.draw_series(faults).map_err(failed)?;
    let comes = record.course.crowd_comes().as_secs_f64();
    chart.draw_series([PathElement::new([(comes, 0.0), (comes, 105.0)], BLACK)]).map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("seconds; all clients are there from the line on; faults are red, recovery is yellow")
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (class, color) in [(Class::Plain, PLAIN), (Class::Obeying, OBEYING)] {
        let points = record.seconds.iter().enumerate();
        let points = points.map(|(second, row)| (second as f64, row[class as usize].share() * 100.0));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(1)))
            .map_err(failed)?
            .label(class.name())
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

/// The library's errors borrow from the drawing area.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot: {error}")
}
