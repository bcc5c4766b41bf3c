//! Any variables are read as settings or refused, and settings that are read are valid and can be printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poolgate::settings::{Overrides, advice, load, to_toml};
use poolgate_server::Settings;

fuzz_target!(|values: Vec<(u16, String)>| {
    let keys = keys();
    let variables = values.into_iter().map(|(key, value)| {
        let key = &keys[usize::from(key) % keys.len()];
        (format!("POOLGATE_{}", key.to_uppercase().replace('.', "__")), value)
    });
    if let Ok(settings) = load(None, variables, &Overrides::default()) {
        assert_eq!(settings.check(), Ok(()));
        let _ = (to_toml(&settings), advice(&settings));
    }
});

/// All settings: `pool.size`.
fn keys() -> Vec<String> {
    let defaults = to_toml(&Settings::default());
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" =") {
            keys.push(format!("{section}{key}"));
        }
    }
    keys
}
