//! Reading the sources in their order.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Map, Value, ValueKind};

use super::{InvalidValue, Settings};

/// Every setting's environment variable begins with this.
const PREFIX: &str = "POOLGATE_";

/// What flags say. They win over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// A named set of values, applied over file and environment.
    pub profile: Option<Profile>,
    /// Keys as in the file (`server.bind`), and their values.
    pub values: Vec<(&'static str, String)>,
}

/// A named set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The original system before its fix: 6 connections, no overflow, 2 s for a connection, 6 requests in flight, 50 ms
    /// to be let in, and clients that are told nothing. For measuring before against after.
    Before,
}

/// Why the settings could not be read. Secrets are not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be opened.
    #[error("settings file {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("settings file {path}: {problem}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        problem: String,
    },
    /// A key that does not exist.
    #[error("{key}: there is no such setting ({origin})")]
    UnknownKey {
        /// The key, as in the file: `pool.sizee`.
        key: String,
        /// Where it stands: the file, or the environment variable's name.
        origin: String,
    },
    /// A value of the wrong kind.
    #[error("{0}")]
    WrongKind(String),
    /// A value that is not possible.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
}

impl Settings {
    /// Reads the defaults, `file`, the `environment` and `overrides`, in this order, and checks the result.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], which names the key.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Self, SettingsError> {
        let mut sources = Config::builder();
        if let Some(path) = file {
            sources = sources.add_source(parse(path)?);
        }
        let (variables, database_url) = relevant(environment);
        if let Some(url) = database_url {
            sources = sources.add_source(Config::builder().set_override("database.url", url)?.build()?);
        }
        sources = sources.add_source(
            Environment::with_prefix("POOLGATE").prefix_separator("_").separator("__").source(Some(variables)),
        );
        for (key, value) in overrides.profile.map(Profile::values).unwrap_or_default() {
            sources = sources.set_override(*key, *value)?;
        }
        for (key, value) in &overrides.values {
            sources = sources.set_override(*key, value.as_str())?;
        }
        let sources = sources.build()?;
        refuse_unknown_keys(&sources)?;
        let settings: Self = sources.try_deserialize()?;
        settings.check()?;
        Ok(settings)
    }

    /// The settings as a TOML file would hold them, secrets hidden.
    pub fn to_toml(&self) -> String {
        let serde_json::Value::Object(settings) = serde_json::to_value(self).unwrap_or_default() else {
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
                    serde_json::Value::Null => text.push_str(&format!("# {key} =\n")),
                    _ => text.push_str(&format!("{key} = {value}\n")),
                }
            }
        }
        text
    }
}

impl Profile {
    const fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Before => &[
                ("pool.size", "6"),
                ("pool.max_overflow", "0"),
                ("pool.timeout", "2s"),
                ("gate.max_concurrent_requests", "6"),
                ("gate.timeout", "50ms"),
                ("gate.order", "fifo"),
                ("control.clients", "false"),
                ("cleanup.automatic", "false"),
            ],
        }
    }
}

fn parse(path: &Path) -> Result<File<config::FileSourceString, FileFormat>, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
    let source = || File::from_str(&text, FileFormat::Toml);
    match Config::builder().add_source(source()).build() {
        Ok(_) => Ok(source()),
        Err(error) => Err(SettingsError::Syntax { path: path.to_owned(), problem: without_excerpt(&error) }),
    }
}

/// The parser shows the line that it did not understand; there may be a secret in it.
fn without_excerpt(error: &config::ConfigError) -> String {
    let text = error.to_string();
    let lines = text.lines().filter(|line| !line.contains('|')).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(": ")
}

/// The variables that are settings, and `DATABASE_URL`. Container platforms add variables for a service that happens to
/// be named like this program (`POOLGATE_SERVICE_HOST`, `POOLGATE_PORT_8000_TCP`); those are not settings.
fn relevant(environment: impl IntoIterator<Item = (String, String)>) -> (Map<String, String>, Option<String>) {
    let mut database_url = None;
    let mut variables = Map::new();
    for (name, value) in environment {
        if name == "DATABASE_URL" && !value.is_empty() {
            database_url = Some(value);
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            let of_the_platform =
                !key.contains("__") && ["SERVICE_", "PORT"].iter().any(|prefix| key.starts_with(prefix));
            if !of_the_platform {
                variables.insert(name, value);
            }
        }
    }
    (variables, database_url)
}

fn refuse_unknown_keys(sources: &Config) -> Result<(), SettingsError> {
    let known = serde_json::to_value(Settings::default()).unwrap_or_default();
    let ValueKind::Table(ref table) = sources.cache.kind else { return Ok(()) };
    walk(table, &known, "")
}

fn walk(table: &Map<String, Value>, known: &serde_json::Value, path: &str) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (known.get(name), &value.kind) {
            (None, _) => {
                let origin = match value.origin() {
                    Some(origin) if origin.contains("env") => {
                        format!("{PREFIX}{} in the environment", key.to_uppercase().replace('.', "__"))
                    }
                    _ => "in the settings file".to_owned(),
                };
                return Err(SettingsError::UnknownKey { key, origin });
            }
            (Some(inner), ValueKind::Table(table)) if inner.is_object() => walk(table, inner, &key)?,
            (Some(_), _) => {}
        }
    }
    Ok(())
}

impl From<config::ConfigError> for SettingsError {
    fn from(error: config::ConfigError) -> Self {
        Self::WrongKind(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, SettingsError> {
        let mut written = tempfile::NamedTempFile::new().expect("a file");
        written.write_all(file.as_bytes()).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(Some(written.path()), environment, overrides)
    }

    fn message(file: &str, environment: &[(&str, &str)]) -> String {
        load(file, environment, &Overrides::default()).expect_err("refused").to_string()
    }

    #[test]
    fn later_sources_win() {
        let file = "policy = \"fixed\"\n[pool]\nsize = 7\nmax_overflow = 3\ntimeout = \"2s\"\n";
        let environment = [
            ("POOLGATE_POOL__SIZE", "8"),
            ("POOLGATE_SERVER__ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("POOLGATE_GATE__TIMEOUT", "50ms"),
            ("POOLGATE_SERVER__ADMIN_TOKEN", "0123456789012345"),
        ];
        let flags = Overrides { values: vec![("server.bind", "127.0.0.1:0".to_owned())], profile: None };
        let settings = load(file, &environment, &flags).expect("read");
        assert_eq!((settings.pool.size, settings.pool.max_overflow), (8, 3));
        assert_eq!(settings.pool.timeout, Duration::from_secs(2));
        assert_eq!(settings.gate.timeout, Duration::from_millis(50));
        assert_eq!(settings.policy, crate::settings::Policy::Fixed);
        assert_eq!(settings.server.allowed_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(settings.server.bind.port(), 0);
        assert_eq!(settings.server.admin_token.expect("set").expose(), "0123456789012345", "leading zero kept");
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        assert_eq!(load("", &[], &Overrides::default()).expect("read"), Settings::default());
    }

    #[test]
    fn errors_name_the_key() {
        assert!(message("[pool]\nsizee = 3\n", &[]).contains("pool.sizee"));
        assert!(message("nonsense = 3\n", &[]).contains("nonsense"));
        let unknown = message("", &[("POOLGATE_GATE__TIMOUT", "1s")]);
        assert!(unknown.contains("gate.timout") && unknown.contains("POOLGATE_GATE__TIMOUT"), "{unknown}");
        assert!(message("", &[("POOLGATE_POLCY", "fixed")]).contains("polcy"));
        for (file, key) in [
            ("[pool]\nsize = \"many\"\n", "pool.size"),
            ("[pool]\nsize = -1\n", "pool.size"),
            ("[pool]\nsize = 0\n", "pool.size"),
            ("[gate]\ntimeout = 5\n", "gate.timeout"),
            ("[gate]\ntimeout = \"-5s\"\n", "gate.timeout"),
            ("[gate]\ntimeout = \"soon\"\n", "gate.timeout"),
            ("[server]\nbind = \"8000\"\n", "server.bind"),
            ("[server]\ntrusted_proxies = [\"proxy\"]\n", "server.trusted_proxies"),
            ("policy = \"strict\"\n", "policy"),
            ("[thresholds]\nwarning = 60\n", "thresholds.warning"),
            ("pool = 3\n", "pool"),
        ] {
            let message = message(file, &[]);
            assert!(message.contains(key), "{key}: {message}");
        }
        assert!(message("", &[("POOLGATE_POOL__SIZE", "many")]).contains("pool.size"));
    }

    #[test]
    fn errors_do_not_repeat_secrets() {
        let broken = message("[server]\nadmin_token = \"hunter2hunter2hunter2\n", &[]);
        assert!(!broken.contains("hunter2"), "{broken}");
        assert!(broken.contains("line 2"), "the place is named: {broken}");
        let wrong = message("", &[("DATABASE_URL", "mysql://app:hunter2@db/shop")]);
        assert!(wrong.contains("database.url") && !wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn database_url_is_read_and_the_own_variable_wins() {
        let both = [("DATABASE_URL", "sqlite://a.db"), ("POOLGATE_DATABASE__URL", "sqlite://b.db")];
        let url = |environment: &[(&str, &str)]| {
            let settings = load("[database]\nurl = \"sqlite://file.db\"\n", environment, &Overrides::default());
            settings.expect("read").database.url.expect("set").expose().to_owned()
        };
        assert_eq!(url(&[]), "sqlite://file.db");
        assert_eq!(url(&both[..1]), "sqlite://a.db");
        assert_eq!(url(&both), "sqlite://b.db");
    }

    #[test]
    fn variables_of_container_platforms_are_no_settings() {
        let platform = [("POOLGATE_PORT", "tcp://10.0.0.1:8000"), ("POOLGATE_SERVICE_HOST", "10.0.0.1")];
        assert!(load("", &platform, &Overrides::default()).is_ok());
    }

    #[test]
    fn the_printed_settings_can_be_read_again_and_hide_secrets() {
        let environment = [("DATABASE_URL", "postgres://app:hunter2@db/shop")];
        let flags = Overrides { profile: Some(Profile::Before), values: Vec::new() };
        let settings = load("", &environment, &flags).expect("read");
        let printed = settings.to_toml();
        assert!(!printed.contains("hunter2"), "{printed}");
        let again = load(&printed, &environment, &Overrides::default()).expect("what is printed is a settings file");
        assert_eq!(again, settings);
        assert_eq!((again.pool.size, again.gate.timeout), (6, Duration::from_millis(50)));
        assert!(!again.control.clients);
    }
}
