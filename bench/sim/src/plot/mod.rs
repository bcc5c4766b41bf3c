//! Plots as SVG: readable on light and on dark ground, without a legend, and for the colour-blind.

mod canvas;
mod curves;
mod scale;
mod timelines;

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};

use crate::batch;

/// Writes a plot of each figure over the load where there are several loads, and one of the first seed's seconds for
/// each load.
pub(crate) fn write(folder: &Path, results: &[batch::Result]) -> Result<()> {
    let of_one = |a: &batch::Result, b: &batch::Result| {
        let (a, b) = (&a.case.setup, &b.case.setup);
        a.name == b.name && a.scenario.clients == b.scenario.clients
    };
    for comparison in results.chunk_by(of_one) {
        let Some(first) = comparison.first() else { continue };
        let name = format!("{}-{}", first.case.setup.name, first.case.setup.scenario.clients);
        for figure in curves::FIGURES {
            if let Some(plot) = curves::draw(figure, comparison) {
                save(folder, &format!("{name}-{}.svg", figure.name), &plot)?;
            }
        }
        let loads = comparison.chunk_by(|a, b| Arc::ptr_eq(&a.case.setup, &b.case.setup));
        for results in loads {
            let load = results.first().map_or(0.0, |result| result.case.setup.scenario.peak_load());
            save(folder, &format!("{name}-{load}-seconds.svg"), &timelines::draw(results))?;
        }
    }
    Ok(())
}

fn save(folder: &Path, name: &str, plot: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, plot).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
