//! Decides what to show of a text that may contain a password.
//!
//! Users forget to escape passwords in URLs, forget a slash, or pass a URL to the wrong setting. So a text is shown
//! only if it is certainly no password, never because it does not look like one.

use std::fmt;

use poolgate_types::Backend;

use super::scheme;

/// What is shown instead of what is hidden.
pub const HIDDEN: &str = "********";

/// Maximum length of a value that a message repeats.
const LONGEST_WORD: usize = 40;

/// The parts of a URL that cannot contain a password: the scheme, and user, host, port and database if the whole URL
/// can be read in only one way. Query parameters are never shown, because they can contain a password.
pub(super) fn url(url: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| scheme::is_known(scheme)) else {
        return f.write_str(HIDDEN);
    };
    let slashes = if rest.starts_with("//") { "//" } else { "" };
    write!(f, "{scheme}:{slashes}")?;
    let visible = match scheme::backend(scheme) {
        Some(Backend::Sqlite) => file(rest).map(|file| (None, file)),
        Some(Backend::Postgres) | None => rest.strip_prefix("//").and_then(place),
    };
    match visible {
        Some((Some(user), place)) => write!(f, "{user}:{HIDDEN}@{place}"),
        Some((None, place)) => f.write_str(place),
        None => f.write_str(HIDDEN),
    }
}

/// One NATS server as it may be shown: `nats://user:********@host:4222`. `None` if it is not certainly one.
pub(super) fn nats_server(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["nats", "tls"].contains(scheme))?;
    let (account, place) = rest.rsplit_once('@').map_or((None, rest), |(account, place)| (Some(account), place));
    let is_escaped = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@:[]".contains(&byte))
    };
    let is_certain = !place.is_empty() && !place.starts_with(':') && !place.contains('/') && is_place(place);
    let shown = match account.map(|account| account.split_once(':')) {
        None => format!("{scheme}://{place}"),
        // A user without a password is a token.
        Some(None) => account.filter(|token| is_escaped(token)).map(|_| format!("{scheme}://{HIDDEN}@{place}"))?,
        Some(Some((user, password))) => {
            (is_plain(user) && is_escaped(password)).then(|| format!("{scheme}://{user}:{HIDDEN}@{place}"))?
        }
    };
    is_certain.then_some(shown)
}

/// The user, if a password follows, and `host:port/database`.
fn place(rest: &str) -> Option<(Option<&str>, &str)> {
    let (before, after) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // Then `?` or `#` may belong to a password.
    if after.contains('@') {
        return None;
    }
    let Some((user_info, place)) = before.rsplit_once('@') else { return is_place(before).then_some((None, before)) };
    // A user without a password may be a token.
    let (user, _) = user_info.split_once(':')?;
    (is_plain(user) && is_place(place)).then_some((Some(user), place))
}

/// The file's path.
fn file(rest: &str) -> Option<&str> {
    let (before, after) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = before.strip_prefix("//").unwrap_or(before);
    let drive = path.trim_start_matches('/');
    let has_drive = drive.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && drive[1..].starts_with(':');
    let colons = path.matches(':').count();
    // Otherwise it may be another database's URL with the wrong scheme.
    let is_path = colons == usize::from(has_drive) || path == ":memory:";
    (is_path && !path.contains('@') && !after.contains('@')).then_some(path)
}

/// `host`, `host:5432`, `[::1]:5432/database`.
fn is_place(text: &str) -> bool {
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    is_plain(host) && (port.is_empty() || is_port(port)) && is_plain(database)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// A value for a message, in quotes, if it is a short word: such a one is no URL.
pub fn word(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= LONGEST_WORD && is_plain(text)).then(|| format!("`{text}`"))
}

/// A path for a message, unless it looks like a URL or holds what only a URL would.
pub fn path(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    let begins_as_url = text.split_once(':').is_some_and(|(scheme, _)| scheme::is_known(scheme));
    if begins_as_url || text.contains("://") || text.contains('@') {
        return format!("{HIDDEN} (hidden: it looks like a URL)");
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown<'a>(&'a str);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            url(self.0, f)
        }
    }

    #[test]
    fn an_unambiguous_url_is_shown() {
        for (url, shown) in [
            ("postgres://app:hunter2@db:5432/shop", "postgres://app:********@db:5432/shop"),
            ("postgres://app:hunter2@db/shop?password=hunter2#x", "postgres://app:********@db/shop"),
            ("postgres://app:a/b@hunter2@db/shop", "postgres://app:********@db/shop"),
            ("postgres://db/shop?user=app&password=hunter2", "postgres://db/shop"),
            ("postgresql+asyncpg://app:hunter2@[::1]:5432/shop", "postgresql+asyncpg://app:********@[::1]:5432/shop"),
            ("pgbouncer://stats:hunter2@pooler:6432/shop", "pgbouncer://stats:********@pooler:6432/shop"),
            ("POSTGRES://app:hunter2@db/shop", "POSTGRES://app:********@db/shop"),
            ("sqlite://shop.db?mode=rwc", "sqlite://shop.db"),
            ("sqlite:///var/lib/shop.db", "sqlite:///var/lib/shop.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("sqlite://C:/shop.db", "sqlite://C:/shop.db"),
        ] {
            assert_eq!(Shown(url).to_string(), shown, "{url}");
        }
    }

    #[test]
    fn possible_parts_of_a_password_are_hidden() {
        for url in [
            "postgres:/app:hunter2@h/d",
            "postgres:app:hunter2@h/d",
            "postgres://app:hun?ter2@db/shop",
            "postgres://app:hun#ter2@db/shop",
            "postgres://app:hunter2",
            "postgres://app/hunter2@db/shop",
            "postgres://app;hunter2@db/shop",
            "postgres://hunter2@db/shop",
            "postgres://app@db:hunter2/shop",
            "postgres://app@db/shop:hunter2",
            "postgres://app:@db/shop/hunter2",
            "postgres://db/shop?user=app&password=hu@nter2",
            "postgres://[hunter2]/shop",
            "sqlite://app:hunter2@h/d",
            "sqlite:app:hunter2",
            "sqlite://a?b@hunter2",
        ] {
            let (scheme, _) = url.split_once(':').expect("a scheme");
            let shown = Shown(url).to_string();
            assert_eq!(shown.replace("//", ""), format!("{scheme}:{HIDDEN}"), "{url}");
        }
        assert_eq!(Shown("hunter2:app").to_string(), HIDDEN);
        assert_eq!(Shown("hunter2").to_string(), HIDDEN);
    }
}
