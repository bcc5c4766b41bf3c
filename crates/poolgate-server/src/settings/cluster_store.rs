//! `cluster.store`: where replicas meet.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::mask;

/// The word for a table of the database.
const POSTGRES: &str = "postgres";

/// Where replicas meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClusterStore {
    /// Nowhere: the server does not know of others.
    #[default]
    None,
    /// In a table of the database itself.
    Postgres,
    /// In NATS JetStream.
    Nats(NatsUrl),
}

/// The URLs of NATS servers, separated by commas. Shown without passwords and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(String);

/// A text that says no place where replicas could meet. It is not repeated, because it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither `postgres` nor the URL of a NATS server, nats://user:password@host:4222 or tls://user:password@host:4222, or \
     several of them separated by commas (special characters of a password are written as %2C)"
)]
pub struct InvalidClusterStore;

impl NatsUrl {
    /// Parses it.
    ///
    /// # Errors
    ///
    /// [`InvalidClusterStore`], which says what is valid.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidClusterStore> {
        let url = url.as_ref().trim();
        let is_valid = url.split(',').all(|server| mask::nats_server(server.trim()).is_some());
        is_valid.then(|| Self(url.to_owned())).ok_or(InvalidClusterStore)
    }

    /// The URLs with the password, for connecting only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, server) in self.0.split(',').enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}", mask::nats_server(server.trim()).as_deref().unwrap_or(mask::HIDDEN))?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ClusterStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str(""),
            Self::Postgres => serializer.serialize_str(POSTGRES),
            Self::Nats(url) => serializer.collect_str(url),
        }
    }
}

impl<'de> Deserialize<'de> for ClusterStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.trim() {
            "" => Ok(Self::None),
            POSTGRES => Ok(Self::Postgres),
            url => NatsUrl::new(url).map(Self::Nats).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClusterStore, String> {
        let json = serde_json::to_string(text).expect("a string");
        serde_json::from_str(&json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_store_is_nothing_postgres_or_nats() {
        assert_eq!(read(""), Ok(ClusterStore::None));
        assert_eq!(read("postgres"), Ok(ClusterStore::Postgres));
        for url in ["nats://one", "tls://one:4222", "nats://app:secret@one:4222, nats://two", "nats://token@[::1]:4222"]
        {
            assert!(matches!(read(url), Ok(ClusterStore::Nats(found)) if found.expose() == url), "{url}");
        }
    }

    #[test]
    fn another_text_is_refused_without_repeating_it() {
        for wrong in [
            "hunter2",
            "redis://app:hunter2@one",
            "nats://",
            "nats:app:hunter2@one",
            "nats://app:hunter2",
            "nats://app:hun,ter2@one",
            "nats://app:hunter2@one,",
            "nats://one/hunter2",
        ] {
            let refused = read(wrong).expect_err(wrong);
            assert!(refused.contains("`postgres`") && refused.contains("nats://"), "{refused}");
            assert!(!refused.contains("ter2"), "{refused}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let store = read("nats://app:hunter2@one:4222,tls://hunter2@two").expect("a store");
        let shown = serde_json::to_string(&store).expect("a string");
        assert_eq!(shown, r#""nats://app:********@one:4222,tls://********@two""#);
        assert!(!format!("{store:?}").contains("hunter2"));
    }
}
