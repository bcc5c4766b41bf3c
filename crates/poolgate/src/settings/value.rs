//! Reads the given values one by one, so that a message names the wrong one.

use poolgate_server::{Settings, settings::mask};
use serde_json::{Value, json};

use super::{
    SettingsError,
    source::{Given, Origin},
};

/// The defaults with the given values applied.
pub(super) fn read(given: &Given) -> Result<Settings, SettingsError> {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut document = json!({});
    for (key, value, origin) in given.iter() {
        expect_setting(key, &defaults, origin)?;
        let readings = readings(value);
        let tries = readings.iter().map(|reading| serde_json::from_value::<Settings>(nested(key, reading.clone())));
        let results: Vec<_> = tries.collect();
        let Some(fitting) = results.iter().position(Result::is_ok) else {
            // The first candidate is the value as given.
            let error = results.into_iter().find_map(Result::err).map(|error| error.to_string()).unwrap_or_default();
            let problem = problem(value, &error);
            return Err(SettingsError::WrongKind { key: key.to_owned(), problem, origin: origin.to_string() });
        };
        put(&mut document, key, readings[fitting].clone());
    }
    serde_json::from_value(document).map_err(|error| SettingsError::WrongKind {
        key: "settings".to_owned(),
        problem: problem(&Value::Null, &error.to_string()),
        origin: "all sources combined".to_owned(),
    })
}

/// Rejects an unknown key.
fn expect_setting(key: &str, defaults: &Value, origin: &Origin) -> Result<(), SettingsError> {
    let unknown = || SettingsError::UnknownKey { key: key.to_owned(), origin: origin.to_string() };
    let mut place = defaults;
    for name in key.split('.') {
        place = place.get(name).ok_or_else(unknown)?;
    }
    match place {
        Value::Object(settings) => Err(SettingsError::WrongKind {
            key: key.to_owned(),
            problem: format!(
                "is a section; its settings are {}",
                settings.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
            origin: origin.to_string(),
        }),
        _ => Ok(()),
    }
}

/// The value as given, and as the number or boolean that its text spells, because variables and flags are text.
fn readings(value: &Value) -> Vec<Value> {
    let mut readings = vec![value.clone()];
    let Some(text) = value.as_str().map(str::trim) else { return readings };
    if let Ok(number) = serde_json::from_str::<serde_json::Number>(text) {
        readings.push(number.into());
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => readings.push(true.into()),
        "false" | "no" | "off" | "0" => readings.push(false.into()),
        _ => {}
    }
    readings
}

/// `{"pool": {"size": …}}` for `pool.size`.
fn nested(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, name| json!({ name: inner }))
}

fn put(document: &mut Value, key: &str, value: Value) {
    let place = key.split('.').fold(document, |place, name| &mut place[name]);
    *place = value;
}

/// What is wrong and what is valid, from serde's message. The message may repeat the value, which may be a secret.
fn problem(value: &Value, message: &str) -> String {
    let Some((_, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let given = match value {
        Value::String(text) => mask::word(text),
        Value::Number(_) | Value::Bool(_) => Some(format!("`{value}`")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let expected = match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" => "a text",
        "path string" => "a path",
        other => other.strip_prefix("one of ").unwrap_or(other),
    };
    format!("{} is not {expected}", given.as_deref().unwrap_or("the value"))
}
