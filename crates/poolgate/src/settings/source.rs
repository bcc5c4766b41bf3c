//! The sources of settings: a file, the environment, flags.

use std::{collections::BTreeMap, fmt, path::Path};

use poolgate_server::settings::DatabaseUrl;
use serde_json::Value;

use super::SettingsError;

/// Prefix of the settings' environment variables.
const PREFIX: &str = "POOLGATE_";
/// The variable that many programs read.
const DATABASE_URL: &str = "DATABASE_URL";
const DATABASE_URL_KEY: &str = "database.url";
const WATCH_URL_KEY: &str = "watch.url";
const UPSTREAM_URL_KEY: &str = "upstream.url";
const DEMO_KEY: &str = "demo.enabled";

/// The given values: for each key (`pool.size`) the last source's value and its origin.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, (Value, Origin)>);

/// The origin of a value.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    File,
    Variable(String),
    Profile,
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("in the settings file"),
            Self::Variable(name) => write!(f, "{name} in the environment"),
            Self::Profile => f.write_str("--profile"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl Given {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.0.iter().map(|(key, (value, origin))| (key.as_str(), value, origin))
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>, origin: Origin) {
        self.0.insert(key.to_owned(), (value.into(), origin));
    }

    /// Adds a TOML file's values.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|reason| SettingsError::File { path: path.to_owned(), reason })?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            // Text in backquotes may be part of the file, and so a secret.
            let problem = error.message().split('`').next().unwrap_or_default().trim_end().to_owned();
            SettingsError::Syntax { path: path.to_owned(), line, column, problem }
        })?;
        self.table("", table);
        Ok(())
    }

    fn table(&mut self, path: &str, table: toml::Table) {
        for (name, value) in table {
            let key = if path.is_empty() { name } else { format!("{path}.{name}") };
            match value {
                toml::Value::Table(table) => self.table(&key, table),
                // Values without a JSON form (`nan`) become null, which is valid for no setting.
                value => self.set(&key, serde_json::to_value(value).unwrap_or_default(), Origin::File),
            }
        }
    }

    /// Adds a variable: `POOLGATE_POOL__SIZE` is `pool.size`.
    pub(super) fn variable(&mut self, name: &str, value: String) {
        let key = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase().replace("__", ".");
        self.set(&key, value, Origin::Variable(name.to_owned()));
    }

    /// Adds `DATABASE_URL`, which overrides only the file. If it is of another kind of database, and another source
    /// names the database or none is needed, it is meant for another program.
    pub(super) fn database_url(&mut self, url: String) {
        let known = DatabaseUrl::new(&url);
        let named = self.0.get(DATABASE_URL_KEY).map(|(_, origin)| origin.clone());
        let is_elsewhere = [WATCH_URL_KEY, UPSTREAM_URL_KEY, DEMO_KEY].iter().any(|key| self.0.contains_key(*key));
        let is_needed = named.is_none() && !is_elsewhere;
        match (known, named) {
            (Ok(_), None | Some(Origin::File)) => {}
            (Err(_), _) if is_needed => {}
            (Err(problem), _) => {
                tracing::warn!(%problem, "DATABASE_URL is ignored: it names another kind of database");
                return;
            }
            (Ok(_), Some(_)) => return,
        }
        self.set(DATABASE_URL_KEY, url, Origin::Variable(DATABASE_URL.to_owned()));
    }
}

/// The variables that are settings, and `DATABASE_URL`. Container platforms add variables for a service that is named
/// like this program (`POOLGATE_SERVICE_HOST`, `POOLGATE_PORT_8000_TCP`); those are not settings.
pub(super) fn relevant(
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Vec<(String, String)>, Option<String>) {
    let mut database_url = None;
    let mut variables = Vec::new();
    for (name, value) in environment {
        if name == DATABASE_URL && !value.trim().is_empty() {
            database_url = Some(value);
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            let of_the_platform =
                !key.contains("__") && ["SERVICE_", "PORT"].iter().any(|prefix| key.starts_with(prefix));
            if !of_the_platform {
                variables.push((name, value));
            }
        }
    }
    (variables, database_url)
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
