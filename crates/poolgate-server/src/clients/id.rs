//! The ids of clients.

use std::{fmt, str::FromStr};

/// Characters of a client's id that operators see: enough to tell clients apart, too few to pose as one.
const BEGINNING: usize = 8;

/// A random id that a browser generates: 1 to 64 characters of `A-Z a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(Box<str>);

/// The text is not a valid client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidClientId;

impl ClientId {
    /// The part that operators see.
    pub(super) fn beginning(&self) -> String {
        self.0.chars().take(BEGINNING).collect()
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidClientId)
        }
    }
}

impl fmt::Display for InvalidClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`client` must be 1 to 64 characters of A-Z a-z 0-9 - _")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        for text in ["", "a b", "é", "<script>", &"x".repeat(65)] {
            assert_eq!(text.parse::<ClientId>(), Err(InvalidClientId), "{text}");
        }
    }
}
