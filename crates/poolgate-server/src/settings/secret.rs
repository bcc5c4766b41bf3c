//! Values that must never be shown: the admin token and the password in a database URL.

use std::fmt;

use poolgate_pool::{InvalidAddress, any_options};
use poolgate_types::Backend;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tracing::subscriber::NoSubscriber;

use super::mask::{self, HIDDEN};

/// A token. `Debug`, `Serialize` and all messages show asterisks.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for comparing only.
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
        // Files with a secret usually end in a line break.
        String::deserialize(deserializer).map(|token| Self(token.trim().to_owned()))
    }
}

/// The database URL: `postgres://user:password@host/name` or `sqlite://file.db`. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    backend: Backend,
    url: String,
}

impl DatabaseUrl {
    /// Parses it with [`any_options`].
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`], which says what is valid and repeats no password.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidAddress> {
        let url = url.as_ref().trim().to_owned();
        let options = quietly(|| any_options(&url))?;
        let backend = match options.database_url.scheme() {
            "sqlite" => Backend::Sqlite,
            _ => Backend::Postgres,
        };
        Ok(Self { backend, url })
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The URL with its password, for connecting only.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

/// Parses it without the warnings that are logged when it is used.
pub(super) fn quietly<T>(check: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(NoSubscriber::default(), check)
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
    fn invalid_database_urls_are_refused_without_repeating_them() {
        for url in
            ["mysql://app:hunter2@db/shop", "shop.db", "postgres:/app:hunter2@db/shop", "postgres:app:hunter2@db/d"]
        {
            let refused = DatabaseUrl::new(url).expect_err(url).to_string();
            assert!(refused.contains("postgres://") && !refused.contains("hunter2"), "{url}: {refused}");
        }
    }
}
