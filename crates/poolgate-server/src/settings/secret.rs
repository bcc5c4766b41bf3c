//! Values that must never be shown: the admin token, and the password inside a database URL.

use std::fmt;

use poolgate_types::Backend;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    mask::{self, HIDDEN},
    scheme,
};

/// A token. `Debug`, `Serialize` and every message show asterisks.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself; for comparing, not for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Where the database is: `postgres://user:password@host/name` or `sqlite://file.db`. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    backend: Backend,
    /// As the database's driver reads it.
    url: String,
}

impl DatabaseUrl {
    /// Checks the scheme; the rest is for the database's own driver to read. The name of another language's driver in
    /// it (`postgresql+psycopg://`) is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] when the scheme is not one that this server can talk to.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidDatabaseUrl> {
        let (scheme, rest) = url.as_ref().trim().split_once(':').ok_or(InvalidDatabaseUrl::Scheme)?;
        let backend = scheme::backend(scheme).ok_or(InvalidDatabaseUrl::Scheme)?;
        let url = match backend {
            Backend::Postgres if rest.starts_with("//") => format!("postgres:{rest}"),
            Backend::Postgres => return Err(InvalidDatabaseUrl::Slashes),
            Backend::Sqlite => format!("sqlite:{}", sqlite_path(scheme, rest)),
        };
        Ok(Self { backend, url })
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The URL with its password; for connecting, not for showing.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

/// SQLAlchemy, whose drivers stand behind a `+`, writes `///` before a relative path and `////` before an absolute one.
fn sqlite_path<'a>(scheme: &str, rest: &'a str) -> &'a str {
    if scheme.contains('+') { rest.strip_prefix("///").unwrap_or(rest) } else { rest }
}

/// The URL is none of a database that this server can talk to. It is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDatabaseUrl {
    /// The scheme is another.
    #[error(
        "the database URL must begin with postgres:// or sqlite:// (it is not repeated here: it may hold a password)"
    )]
    Scheme,
    /// The scheme is right, but what follows it is not.
    #[error(
        "the database URL must have `//` behind its scheme: postgres://user@host/name (it is not repeated here: it may \
         hold a password)"
    )]
    Slashes,
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        mask::url(&self.url, f)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url = DatabaseUrl::new("postgres://app:hunter2@db:5432/shop").expect("a PostgreSQL URL");
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).expect("a string"));
        assert!(!shown.contains("hunter2") && shown.contains("db:5432"), "{shown}");
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_without_repeating_it() {
        for (url, expected) in [
            ("mysql://app:hunter2@db/shop", InvalidDatabaseUrl::Scheme),
            ("shop.db", InvalidDatabaseUrl::Scheme),
            ("postgres:/app:hunter2@db/shop", InvalidDatabaseUrl::Slashes),
            ("postgres:app:hunter2@db/shop", InvalidDatabaseUrl::Slashes),
        ] {
            let refused = DatabaseUrl::new(url).expect_err(url);
            assert_eq!(refused, expected, "{url}");
            assert!(!refused.to_string().contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn the_driver_of_another_language_is_dropped() {
        for (url, expected) in [
            ("postgresql+asyncpg://app@db/shop", "postgres://app@db/shop"),
            ("postgresql+psycopg2://app@db/shop", "postgres://app@db/shop"),
            ("POSTGRESQL://app@db/shop", "postgres://app@db/shop"),
            (" postgres://app@db/shop\n", "postgres://app@db/shop"),
            ("sqlite+aiosqlite:///shop.db", "sqlite:shop.db"),
            ("sqlite+pysqlite:////var/lib/shop.db", "sqlite:/var/lib/shop.db"),
            ("sqlite:///var/lib/shop.db", "sqlite:///var/lib/shop.db"),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            assert_eq!(DatabaseUrl::new(url).expect(url).expose(), expected, "{url}");
        }
    }
}
