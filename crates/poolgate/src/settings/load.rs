//! Reads the sources in their order.

use std::path::{Path, PathBuf};

use poolgate_server::{
    Settings,
    settings::{InvalidValue, mask},
};

use super::{
    source::{self, Given, Origin},
    value,
};

/// The settings that flags give. They win over every other source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// A preset, applied over file and environment.
    pub profile: Option<Profile>,
    /// The flags themselves.
    pub flags: Vec<Flag>,
}

/// A flag that sets a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag as given: `--bind`.
    pub name: &'static str,
    /// The key as in the file: `server.bind`.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// Without the value, which may contain a password.
impl std::fmt::Debug for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flag").field("name", &self.name).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A preset: several settings under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The original system before its fix: 6 connections, no overflow, 2 s to wait for a connection, 6 requests in
    /// flight, 50 ms to wait at the gate, and no client control. For before/after measurements.
    Before,
}

/// Why the settings cannot be read. No message repeats a secret, or a text that may contain one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be opened.
    #[error("settings file {path}: {reason}", path = mask::path(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: std::io::Error,
    },
    /// The file is not valid TOML.
    #[error("settings file {path}, line {line}, column {column}: {problem}", path = mask::path(path))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What was expected.
        problem: String,
    },
    /// An unknown key.
    #[error("{key}: unknown setting ({origin})")]
    UnknownKey {
        /// The key as in the file: `pool.sizee`.
        key: String,
        /// The source: the file, or the environment variable's name.
        origin: String,
    },
    /// A value of the wrong type.
    #[error("{key}: {problem} ({origin})")]
    WrongKind {
        /// The key as in the file: `pool.size`.
        key: String,
        /// What is wrong, and what is valid.
        problem: String,
        /// The source: the file, the environment variable's name, or the flag.
        origin: String,
    },
    /// An invalid value.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
}

/// Reads the defaults, `file`, the `environment` and `overrides`, in this order, and checks the result.
///
/// `DATABASE_URL` comes before the variables of this program. Platforms set it for other programs as well: where another
/// source names the database, or none is needed, a `DATABASE_URL` of another kind is ignored with a warning.
///
/// # Errors
///
/// [`SettingsError`], which names the key.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Settings, SettingsError> {
    let mut given = Given::default();
    if let Some(path) = file {
        given.file(path)?;
    }
    let (variables, database_url) = source::relevant(environment);
    for (name, value) in variables {
        given.variable(&name, value);
    }
    for (key, value) in overrides.profile.map(Profile::values).unwrap_or_default() {
        given.set(key, *value, Origin::Profile);
    }
    for Flag { name, key, value } in &overrides.flags {
        given.set(key, value.as_str(), Origin::Flag(name));
    }
    if let Some(url) = database_url {
        given.database_url(url);
    }
    let settings = value::read(&given)?;
    settings.check()?;
    Ok(settings)
}

impl Profile {
    const fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Before => &[
                ("pool.size", "6"),
                ("pool.max_overflow", "0"),
                ("pool.min_idle", "0"),
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

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use poolgate_server::settings::Policy;

    use super::*;
    use crate::settings::to_toml;

    fn read(file: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, SettingsError> {
        let mut written = tempfile::NamedTempFile::new().expect("a file");
        written.write_all(file.as_bytes()).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(written.path()), environment, overrides)
    }

    fn message(file: &str, environment: &[(&str, &str)]) -> String {
        read(file, environment, &Overrides::default()).expect_err("refused").to_string()
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
        let bind = Flag { name: "--bind", key: "server.bind", value: "127.0.0.1:0".to_owned() };
        let flags = Overrides { flags: vec![bind], profile: None };
        let settings = read(file, &environment, &flags).expect("read");
        assert_eq!((settings.pool.size, settings.pool.max_overflow), (8, 3));
        assert_eq!(settings.pool.timeout, Duration::from_secs(2));
        assert_eq!(settings.gate.timeout, Duration::from_millis(50));
        assert_eq!(settings.policy, Policy::Fixed);
        assert_eq!(settings.server.allowed_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(settings.server.bind.port(), 0);
        assert_eq!(settings.server.admin_token.expect("set").expose(), "0123456789012345", "leading zero kept");
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        assert_eq!(read("", &[], &Overrides::default()).expect("read"), Settings::default());
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
        assert!(broken.contains("line 2"), "the line is named: {broken}");
        let wrong = message("", &[("DATABASE_URL", "mysql://app:hunter2@db/shop")]);
        assert!(wrong.contains("database.url") && !wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn database_url_is_read_and_the_own_variable_wins() {
        let both = [("DATABASE_URL", "sqlite://a.db"), ("POOLGATE_DATABASE__URL", "sqlite://b.db")];
        let url = |environment: &[(&str, &str)]| {
            let settings = read("[database]\nurl = \"sqlite://file.db\"\n", environment, &Overrides::default());
            settings.expect("read").database.url.expect("set").expose().to_owned()
        };
        assert_eq!(url(&[]), "sqlite://file.db");
        assert_eq!(url(&both[..1]), "sqlite://a.db");
        assert_eq!(url(&both), "sqlite://b.db");
    }

    #[test]
    fn variables_of_container_platforms_are_ignored() {
        let platform = [("POOLGATE_PORT", "tcp://10.0.0.1:8000"), ("POOLGATE_SERVICE_HOST", "10.0.0.1")];
        assert!(read("", &platform, &Overrides::default()).is_ok());
    }

    #[test]
    fn the_printed_settings_can_be_read_again_and_hide_secrets() {
        let environment = [("DATABASE_URL", "postgres://app:hunter2@db/shop")];
        let flags = Overrides { profile: Some(Profile::Before), flags: Vec::new() };
        let settings = read("", &environment, &flags).expect("read");
        let printed = to_toml(&settings);
        assert!(!printed.contains("hunter2"), "{printed}");
        let again = read(&printed, &environment, &Overrides::default()).expect("what is printed is a settings file");
        assert_eq!(again, settings);
        assert_eq!((again.pool.size, again.gate.timeout), (6, Duration::from_millis(50)));
        assert!(!again.control.clients);
    }
}
