//! A contender: a scheme by its name, made for each run because a scheme cannot move between threads.

use std::{fmt, sync::Arc};

use anyhow::{Context, Result};
use poolgate_sim::{scheme::Scheme, schemes::Poolgate};

use crate::law;

/// A scheme with its settings.
#[derive(Clone)]
pub(crate) struct Contender {
    /// The scheme's name.
    pub(crate) name: &'static str,
    /// The settings as they were given.
    pub(crate) set: String,
    make: Arc<dyn Fn() -> Box<dyn Scheme> + Send + Sync>,
}

impl Contender {
    /// Every scheme, or the named ones. Settings are for Poolgate's own.
    pub(crate) fn choose(names: Option<&[String]>, set: &[String]) -> Result<Vec<Self>> {
        let known: Vec<&'static str> = poolgate_bench_rivals::all().iter().map(|scheme| scheme.name()).collect();
        let mut places: Vec<usize> = match names {
            None => (0..known.len()).collect(),
            Some(names) => names.iter().map(|name| place(name, &known)).collect::<Result<_>>()?,
        };
        places.sort_unstable();
        places.dedup();
        let mut chosen: Vec<Self> = places.into_iter().map(|place| Self::plain(known[place], place)).collect();
        if !set.is_empty() {
            let settings = law::settings(set)?;
            let ours = chosen.iter_mut().find(|contender| contender.name == Poolgate::default().name());
            let ours = ours.context("--set is for the scheme `poolgate`, which was not asked for")?;
            ours.set = set.join(" ");
            ours.make = Arc::new(move || Box::new(Poolgate { settings: settings.clone() }));
        }
        Ok(chosen)
    }

    fn plain(name: &'static str, place: usize) -> Self {
        Self { name, set: String::new(), make: Arc::new(move || poolgate_bench_rivals::all().swap_remove(place)) }
    }

    /// Its name and settings.
    pub(crate) fn label(&self) -> String {
        if self.set.is_empty() { self.name.to_owned() } else { format!("{} {}", self.name, self.set) }
    }

    /// The scheme, for one run.
    pub(crate) fn scheme(&self) -> Box<dyn Scheme> {
        (self.make)()
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

fn place(name: &str, known: &[&'static str]) -> Result<usize> {
    let place = known.iter().position(|known| *known == name);
    place.with_context(|| format!("no scheme `{name}`; there are {}", known.join(", ")))
}
