//! Built-in scenarios, and how to read others from files.

use anyhow::{Context, Result};

use crate::scenario::Scenario;

macro_rules! built_in {
    ($($name:literal)*) => { [$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*] };
}

/// Name and text of each file in `scenarios/`, from plain to strange.
const BUILT_IN: &[(&str, &str)] = &built_in![
    "healthy" "constant" "overload" "step" "pulse" "ramp" "heavy" "slow-down" "crowded" "outage" "restart" "cold-start" "stream-cut" "late" "retry-storm"
    "reload-storm" "sessions" "hidden" "rogues" "six-fields" "million"
    "replicas" "rolling-deploy" "replica-partition" "store-lost" "replica-paused" "replica-killed" "newest-idle"
];

/// The names of the built-in scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Reads a built-in scenario by its name, or one from the file at this path.
///
/// # Errors
///
/// There is neither, or the file is not a scenario.
pub fn load(name_or_path: &str) -> Result<Scenario> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Scenario::parse(text);
    }
    let text = std::fs::read_to_string(name_or_path).with_context(|| {
        let names: Vec<_> = names().collect();
        format!("no built-in scenario and no readable file is called `{name_or_path}`; built in: {}", names.join(", "))
    })?;
    Scenario::parse(&text).with_context(|| format!("the file `{name_or_path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = std::fs::read_dir(folder).expect("it exists").map(|file| file.expect("it can be read").path());
        let mut files: Vec<_> = files.map(|file| file.file_stem().expect("a name").to_owned()).collect();
        files.sort();
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn every_built_in_scenario_is_valid() {
        for name in names() {
            if let Err(error) = load(name) {
                panic!("{name}: {error:#}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is() {
        let error = format!("{:#}", load("stepp").expect_err("there is none"));
        assert!(error.contains("`stepp`") && error.contains("step,"), "{error}");
    }
}
