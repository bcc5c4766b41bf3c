//! Turns database addresses into sqlx's connect options.
//!
//! sqlx reads some addresses wrongly: it passes the brackets of an IPv6 address to the resolver, ignores parameters that
//! select a server, and logs the values of unknown parameters. Each of these is corrected or refused here. No error
//! repeats a part of the address that may be a secret.

use std::net::Ipv6Addr;
use std::str::FromStr;

use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::InvalidAddress;

/// Reads an address for a pool of [`sqlx::Any`]: `postgres://user:password@host:5432/name?sslmode=require` or
/// `sqlite:shop.db`.
///
/// - `postgresql://` is the same as `postgres://`. The name of a driver is dropped: `postgresql+asyncpg://`,
///   `sqlite+aiosqlite:///shop.db` (three slashes mean a relative path there, as in SQLAlchemy).
/// - An IPv6 host has brackets: `postgres://app@[::1]:5432/shop`, and may have a zone (`[fe80::1%25eth0]`).
/// - `ssl=require` is read as `sslmode=require`. `sslrootcert=system` is the default: the system's certificates.
/// - Several hosts, `target_session_attrs` other than `any`, `load_balance_hosts` and `service` are refused. They are not
///   supported, and ignoring them could connect to the wrong server.
/// - Other unknown parameters are left out. A warning shows their names, not their values.
///
/// # Errors
/// [`InvalidAddress`], which says what to write instead.
///
/// ```
/// let options = poolgate_pool::any_options("postgresql+asyncpg://app:secret@[::1]:5432/shop").unwrap();
/// assert_eq!(options.database_url.scheme(), "postgres");
/// let refused = poolgate_pool::any_options("postgres://app@a,b/shop").unwrap_err();
/// assert!(refused.to_string().contains("several hosts"));
/// ```
pub fn any_options(address: &str) -> Result<AnyConnectOptions, InvalidAddress> {
    match Scheme::of(address)? {
        (Scheme::Postgres, rest) => postgres(rest).map(|(options, _)| options),
        (Scheme::Sqlite { python }, rest) => sqlite(python, rest),
    }
}

/// The same for PostgreSQL only, with sqlx's typed options: for a pool of [`sqlx::Postgres`] or a single connection.
///
/// # Errors
/// As [`any_options`], and for addresses of other databases.
pub fn postgres_options(address: &str) -> Result<PgConnectOptions, InvalidAddress> {
    match Scheme::of(address)? {
        (Scheme::Postgres, rest) => postgres(rest).map(|(_, options)| options),
        (Scheme::Sqlite { .. }, _) => Err(InvalidAddress::NotPostgres),
    }
}

enum Scheme {
    Postgres,
    /// `python`: with the name of a driver, as SQLAlchemy writes it.
    Sqlite {
        python: bool,
    },
}

impl Scheme {
    /// The kind of database, and the rest of the address after the scheme's colon.
    fn of(address: &str) -> Result<(Self, &str), InvalidAddress> {
        let address = address.trim();
        let Some((scheme, rest)) = address.split_once(':') else {
            return Err(InvalidAddress::Scheme { hint: "" });
        };
        let scheme = scheme.to_ascii_lowercase();
        let (name, driver) =
            scheme.split_once('+').map_or((scheme.as_str(), None), |(name, driver)| (name, Some(driver)));
        match name {
            "postgres" | "postgresql" => Ok((Self::Postgres, rest)),
            "sqlite" => Ok((Self::Sqlite { python: driver.is_some() }, rest)),
            other => Err(InvalidAddress::Scheme { hint: hint(other) }),
        }
    }
}

fn hint(scheme: &str) -> &'static str {
    match scheme {
        "postgis" => "; postgis:// is GeoDjango's name for postgres://",
        "pgsql" | "psql" | "pg" | "timescale" | "timescalegis" => "; for a PostgreSQL write postgres://",
        "jdbc" => "; leave out `jdbc:` and put user and password before the host",
        "file" => "; for a SQLite file write sqlite:path",
        "sqlite3" | "spatialite" => "; for a SQLite file write sqlite:path",
        _ => "",
    }
}

/// Parameters that sqlx supports, with all their spellings.
const KNOWN: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "ssl",
];

/// Unsupported parameters that select a server, and what to do instead.
const REFUSED: [(&str, &str); 4] = [
    ("target_session_attrs", "name the host of the wanted server, such as one that always leads to the primary"),
    ("load_balance_hosts", "name one host; if it has several addresses, they are tried in the resolver's order"),
    ("service", "write host, port, user and database out"),
    ("servicefile", "write host, port, user and database out"),
];

/// `rest`: the address after `postgres:`.
fn postgres(rest: &str) -> Result<(AnyConnectOptions, PgConnectOptions), InvalidAddress> {
    let rest = rest.strip_prefix("//").ok_or(InvalidAddress::Slashes)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user_info, place) = authority.rsplit_once('@').map_or(("", authority), |(user, place)| (user, place));
    if user_info.is_empty() && is_cut_short(tail) || tail.contains('#') {
        return Err(InvalidAddress::Ambiguous);
    }
    if place.contains(',') {
        return Err(InvalidAddress::SeveralHosts { parameter: "host" });
    }
    let (place, bracketed) = without_brackets(place)?;
    let at = if authority.contains('@') { "@" } else { "" };
    let unreadable = |error: sqlx::Error| InvalidAddress::Unreadable(plain(&error));
    let mut any =
        AnyConnectOptions::from_str(&format!("postgres://{user_info}{at}{place}{tail}")).map_err(unreadable)?;
    // The name of a parameter may then be part of a password.
    let is_doubtful = user_info.is_empty() && tail.contains('@');
    let mut pairs = parameters(any.database_url.query_pairs(), is_doubtful)?;
    let names_host = pairs.iter().any(|(key, _)| key == "host" || key == "hostaddr");
    if let (Some(host), false) = (bracketed, names_host) {
        // The parameter overrides the host in the address, where sqlx keeps the brackets.
        pairs.push(("host".to_owned(), host));
    }
    any.database_url.set_query(None);
    if !pairs.is_empty() {
        any.database_url.query_pairs_mut().extend_pairs(&pairs);
    }
    let options = any.database_url.as_str().parse::<PgConnectOptions>().map_err(unreadable)?;
    Ok((any, options))
}

/// Whether the part after the host shows that the "host" is a user name, cut off by a character in the password.
fn is_cut_short(tail: &str) -> bool {
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let nameless = query.split('&').any(|pair| !pair.contains('=') && pair.contains('@'));
    path.contains('@') || nameless
}

/// For `[::1]:5432`: the form for the address, and the host to look up.
fn without_brackets(place: &str) -> Result<(String, Option<String>), InvalidAddress> {
    let Some(inside) = place.strip_prefix('[') else { return Ok((place.to_owned(), None)) };
    let (inside, port) = inside.split_once(']').ok_or(InvalidAddress::Brackets)?;
    let host = inside.replace("%25", "%");
    let (address, zone) = host.split_once('%').map_or((host.as_str(), ""), |(address, zone)| (address, zone));
    if address.parse::<Ipv6Addr>().is_err()
        || zone.contains(['/', '@', ':'])
        || !(port.is_empty() || port.starts_with(':'))
    {
        return Err(InvalidAddress::Brackets);
    }
    Ok((format!("[{address}]{port}"), Some(host)))
}

type Pair = (String, String);

/// The supported parameters, each in the form that sqlx reads correctly.
fn parameters<'u>(
    given: impl Iterator<Item = (impl Into<String>, impl Into<String>)> + 'u,
    is_doubtful: bool,
) -> Result<Vec<Pair>, InvalidAddress> {
    let mut kept = Vec::new();
    for (key, value) in given {
        let (key, value): Pair = (key.into(), value.into());
        if let Some((parameter, instead)) = REFUSED.into_iter().find(|(name, _)| *name == key) {
            if key == "target_session_attrs" && value == "any" {
                continue;
            }
            return Err(InvalidAddress::Parameter { parameter, instead });
        }
        match key.as_str() {
            "host" | "hostaddr" | "port" if value.contains(',') => {
                let parameter = if key == "port" { "port" } else { "host" };
                return Err(InvalidAddress::SeveralHosts { parameter });
            }
            "host" if value.starts_with('[') => {
                let (_, host) = without_brackets(&value)?;
                kept.extend(host.map(|host| (key, host)));
            }
            "ssl" => kept.extend(sslmode(&value).map(|mode| ("sslmode".to_owned(), mode.to_owned()))),
            "sslrootcert" if value == "system" => {}
            name if KNOWN.contains(&name) || name.starts_with("options[") => kept.push((key, value)),
            _ if is_doubtful => return Err(InvalidAddress::Ambiguous),
            _ => {
                tracing::warn!(parameter = %key, "the database address has an unknown parameter; it is left out");
            }
        }
    }
    Ok(kept)
}

/// The `sslmode` for the parameter `ssl` of other drivers.
fn sslmode(value: &str) -> Option<&str> {
    match value {
        "true" | "1" | "on" | "yes" => Some("require"),
        "false" | "0" | "off" | "no" => Some("disable"),
        "" => None,
        mode => Some(mode),
    }
}

fn sqlite(python: bool, rest: &str) -> Result<AnyConnectOptions, InvalidAddress> {
    // SQLAlchemy has an empty host between the second and the third slash, and then the path.
    let rest = match rest.strip_prefix("///") {
        Some(path) if python => path,
        Some(_) | None => rest,
    };
    let text = format!("sqlite:{rest}");
    let unreadable = |error: sqlx::Error| InvalidAddress::Unreadable(plain(&error));
    SqliteConnectOptions::from_str(&text).map_err(unreadable)?;
    AnyConnectOptions::from_str(&text).map_err(unreadable)
}

/// The cause, up to its first quotation, which is part of the address. Without sqlx's prefix `error with configuration:`.
fn plain(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        other => other.to_string(),
    };
    text.split(['"', '`']).next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> PgConnectOptions {
        let any = any_options(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let through_any: PgConnectOptions = any.database_url.as_str().parse().expect(address);
        let options = postgres_options(address).expect(address);
        assert_eq!(
            (through_any.get_host(), through_any.get_port(), through_any.get_database(), through_any.get_username()),
            (options.get_host(), options.get_port(), options.get_database(), options.get_username()),
            "{address}"
        );
        options
    }

    fn refused(address: &str) -> String {
        let error = any_options(address).err().unwrap_or_else(|| panic!("{address} was taken"));
        error.to_string()
    }

    #[test]
    fn every_spelling_of_a_host_is_read() {
        for (address, host, port) in [
            ("postgres://app:secret@db/shop", "db", 5432),
            ("postgresql://app@db:6432/shop?sslmode=require", "db", 6432),
            ("postgresql+asyncpg://app@db/shop", "db", 5432),
            ("postgres+psycopg2://app@db/shop", "db", 5432),
            ("POSTGRES://app@db/shop", "db", 5432),
            (" postgres://app@db/shop\n", "db", 5432),
            ("postgres://app@[::1]:5433/shop", "::1", 5433),
            ("postgres://app:se%2Fcret@[2001:db8::7]/shop?sslmode=disable", "2001:db8::7", 5432),
            ("postgres://[::1]/shop?user=app", "::1", 5432),
            ("postgres://app@[fe80::1%25eth0]/shop", "fe80::1%eth0", 5432),
            ("postgres://app@db/shop?host=[::1]", "::1", 5432),
            ("postgres://app@[::1]/shop?host=db", "db", 5432),
            ("postgres://app@db/shop?target_session_attrs=any", "db", 5432),
            (
                "postgres://app@db/shop?ssl=require&sslrootcert=system&channel_binding=require&pgbouncer=true",
                "db",
                5432,
            ),
        ] {
            let options = read(address);
            assert_eq!((options.get_host(), options.get_port()), (host, port), "{address}");
            assert_eq!((options.get_username(), options.get_database()), ("app", Some("shop")), "{address}");
        }
        assert_eq!(read("postgres://user%40server:p%40ss@db/shop").get_username(), "user@server");
        assert_eq!(
            read("postgres:///shop?host=/run/postgresql&user=app").get_socket().map(|path| path.as_os_str()),
            Some("/run/postgresql".as_ref())
        );
    }

    #[test]
    fn other_names_for_encryption_do_not_switch_it_off() {
        use sqlx::postgres::PgSslMode;
        let mode = |query: &str| read(&format!("postgres://app@db/shop?{query}")).get_ssl_mode();
        assert!(matches!(mode("ssl=require"), PgSslMode::Require));
        assert!(matches!(mode("ssl=true"), PgSslMode::Require));
        assert!(matches!(mode("ssl=verify-full"), PgSslMode::VerifyFull));
        assert!(matches!(mode("sslmode=verify-full&sslrootcert=system"), PgSslMode::VerifyFull));
        assert!(refused("postgres://app@db/shop?ssl=perhaps").contains("cannot be read"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name_and_repeats_no_secret() {
        for (address, advice) in [
            ("postgres://app:hunter2@a,b/shop", "several hosts"),
            ("postgres://app:hunter2@a:5432,b:5433/shop", "several hosts"),
            ("postgres://app:hunter2@db/shop?host=a,b", "`host`"),
            ("postgres://app:hunter2@db/shop?port=1,2", "`port`"),
            ("postgres://app:hunter2@db/shop?target_session_attrs=read-write", "`target_session_attrs`"),
            ("postgres://app:hunter2@db/shop?load_balance_hosts=random", "`load_balance_hosts`"),
            ("postgres://app:hunter2@db/shop?service=shop", "`service`"),
            ("postgis://app:hunter2@db/shop", "GeoDjango"),
            ("mysql2://app:hunter2@db/shop", "postgres://"),
            ("jdbc:postgresql://app:hunter2@db/shop", "jdbc:"),
            ("file:./hunter2.db", "sqlite:path"),
            ("hunter2", "postgres://"),
            ("postgres:app:hunter2@db/shop", "two slashes"),
            ("postgres:/app:hunter2@db/shop", "two slashes"),
            ("postgres://app:12/hunter2@db/shop", "%2F"),
            ("postgres://app:12?hunter2@db/shop", "%3F"),
            ("postgres://app:hunter2#@db/shop", "%23"),
            ("postgres://app:hunter2?x@db/shop", "%3F"),
            ("postgres://app:hunter2@[::1/shop", "IPv6"),
            ("postgres://app:hunter2@[db]/shop", "IPv6"),
            ("postgres://app:hunter2@db:port/shop", "cannot be read"),
            ("postgres://app:hunter2@db/shop?sslmode=perhaps", "cannot be read"),
            ("sqlite:shop.db?mode=perhaps", "cannot be read"),
        ] {
            let refused = refused(address);
            assert!(refused.contains(advice) && !refused.contains("hunter2"), "{address}: {refused}");
        }
        assert_eq!(postgres_options("sqlite:shop.db").err(), Some(InvalidAddress::NotPostgres));
    }

    #[test]
    fn files_are_found_where_their_spelling_says() {
        for (address, file) in [
            ("sqlite:shop.db", "shop.db"),
            ("sqlite://shop.db?mode=ro", "shop.db"),
            ("sqlite:///var/shop.db", "/var/shop.db"),
            ("sqlite+aiosqlite:///shop.db", "shop.db"),
            ("sqlite+pysqlite:////var/shop.db", "/var/shop.db"),
        ] {
            let url = any_options(address).expect(address).database_url;
            let options = SqliteConnectOptions::from_str(url.as_str()).expect(address);
            assert_eq!(options.get_filename(), std::path::Path::new(file), "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_its_password(password in "[ -~]{8,20}", shape in 0_usize..6) {
            let address = match shape {
                0 => format!("postgres://app:{password}@db:5432/shop"),
                1 => format!("postgres://app:{password}@[::1]/shop?sslmode=require"),
                2 => format!("postgresql:/app:{password}@db/shop"),
                3 => format!("postgres://db/shop?password={password}"),
                4 => format!("mysql://app:{password}@db/shop"),
                _ => password.clone(),
            };
            if let Err(error) = any_options(&address) {
                proptest::prop_assert!(!error.to_string().contains(&password), "{}", error);
            }
        }
    }
}
