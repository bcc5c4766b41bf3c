//! Errors of database addresses.

/// Why a database address cannot be used. The message repeats no user, password, host or parameter value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// The address has no scheme, or an unknown one.
    #[error(
        "the address must begin with postgres://, postgresql:// or sqlite:{hint} (it is not repeated: it may hold a password)"
    )]
    Scheme {
        /// What to write instead, where that is known.
        hint: &'static str,
    },
    /// Not the address of a PostgreSQL server.
    #[error("the address must begin with postgres:// or postgresql:// (it is not repeated: it may hold a password)")]
    NotPostgres,
    /// `postgres:` without two slashes after it.
    #[error("the address must have two slashes after the scheme: postgres://user:password@host/name")]
    Slashes,
    /// The password contains a character that must be escaped.
    #[error(
        "the address is ambiguous: write `/` in a password as %2F, `?` as %3F, `#` as %23, `@` as %40 and `:` as %3A"
    )]
    Ambiguous,
    /// Several hosts, or several ports.
    #[error("the address names several hosts or ports: name one (parameter `{parameter}`)")]
    SeveralHosts {
        /// The parameter that lists them; `host` for the address itself.
        parameter: &'static str,
    },
    /// An unsupported parameter that selects a server.
    #[error("the parameter `{parameter}` is not supported: {instead}")]
    Parameter {
        /// Its name.
        parameter: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The host in brackets is not an IPv6 address.
    #[error("the host in brackets is not an IPv6 address such as [::1]")]
    Brackets,
    /// Any other error.
    #[error("the address cannot be read: {0}")]
    Unreadable(String),
}
