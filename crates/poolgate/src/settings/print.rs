//! `--print-config`.

use poolgate_server::Settings;
use serde_json::Value;

/// The settings as a TOML file would hold them. Secrets are hidden.
pub fn to_toml(settings: &Settings) -> String {
    let Value::Object(settings) = serde_json::to_value(settings).unwrap_or_default() else {
        return String::new();
    };
    let mut text = String::new();
    let (sections, values): (Vec<_>, Vec<_>) = settings.iter().partition(|(_, value)| value.is_object());
    for (key, value) in values {
        text.push_str(&format!("{key} = {value}\n"));
    }
    for (section, values) in sections {
        text.push_str(&format!("\n[{section}]\n"));
        for (key, value) in values.as_object().into_iter().flatten() {
            match value {
                Value::Null => text.push_str(&format!("# {key} =\n")),
                _ => text.push_str(&format!("{key} = {value}\n")),
            }
        }
    }
    text
}
