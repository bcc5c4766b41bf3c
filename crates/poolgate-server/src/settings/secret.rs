//! Values that must never be shown: the admin token, and the password inside a database URL.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is shown instead of a secret.
const HIDDEN: &str = "********";

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
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Checks the scheme; the rest is for the database's own driver to read.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] when the scheme is not one that this server can talk to.
    pub fn new(url: impl Into<String>) -> Result<Self, InvalidDatabaseUrl> {
        let url = Self(url.into());
        url.scheme().map(|_| ()).ok_or(InvalidDatabaseUrl)?;
        Ok(url)
    }

    /// The kind of database.
    pub fn backend(&self) -> poolgate_types::Backend {
        // Checked by `new`, the only way to make one.
        self.scheme().unwrap_or(poolgate_types::Backend::Sqlite)
    }

    /// The URL with its password; for connecting, not for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn scheme(&self) -> Option<poolgate_types::Backend> {
        match self.0.split_once(':')?.0 {
            "postgres" | "postgresql" => Some(poolgate_types::Backend::Postgres),
            "sqlite" => Some(poolgate_types::Backend::Sqlite),
            _ => None,
        }
    }
}

/// The database URL's scheme is unknown. The URL itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database URL must begin with postgres:// or sqlite:// (it is not repeated here: it may hold a password)")]
pub struct InvalidDatabaseUrl;

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        without_password(&self.0, f)
    }
}

/// Writes a URL with asterisks for its password.
pub(super) fn without_password(url: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Query parameters can hold a password as well (`?password=`), so none is shown.
    let shown = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = shown.split_once("://") else { return f.write_str(shown) };
    // A password may hold any character, `/` included when it was not escaped: up to the last `@` is user info.
    match rest.rsplit_once('@') {
        None => f.write_str(shown),
        Some((user_info, place)) => match user_info.split_once(':') {
            None => f.write_str(shown),
            Some((user, _)) => write!(f, "{scheme}://{user}:{HIDDEN}@{place}"),
        },
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
        for url in [
            "postgres://app:hunter2@db:5432/shop",
            "postgres://app:hunter2@db/shop?password=hunter2",
            "postgres://app:a/b@hunter2@db/shop",
            "postgres://db/shop?user=app&password=hunter2",
        ] {
            let url = DatabaseUrl::new(url).expect("a PostgreSQL URL");
            let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).expect("a string"));
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("db"), "the place is shown: {shown}");
        }
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn an_unknown_scheme_is_refused_without_repeating_the_url() {
        let refused = DatabaseUrl::new("mysql://app:hunter2@db/shop").expect_err("not supported");
        assert!(!refused.to_string().contains("hunter2"));
        assert_eq!(DatabaseUrl::new("shop.db"), Err(InvalidDatabaseUrl));
    }
}
