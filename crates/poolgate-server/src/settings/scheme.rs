//! The schemes of database URLs in the spellings of common frameworks.

use poolgate_types::Backend;

/// The kind of database behind a pool URL. Schemes are case-insensitive; a driver's name after a `+`, as in SQLAlchemy,
/// is ignored.
pub(super) fn backend(scheme: &str) -> Option<Backend> {
    let scheme = without_driver(scheme);
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match () {
        () if is("postgres") || is("postgresql") => Some(Backend::Postgres),
        () if is("sqlite") => Some(Backend::Sqlite),
        () => None,
    }
}

/// Whether a URL with this scheme is one for a pool or for a watched source.
pub(super) fn is_known(scheme: &str) -> bool {
    backend(scheme).is_some() || is_pgbouncer(scheme)
}

/// Whether it is the scheme of a watched PgBouncer.
pub(super) fn is_pgbouncer(scheme: &str) -> bool {
    without_driver(scheme).eq_ignore_ascii_case("pgbouncer")
}

fn without_driver(scheme: &str) -> &str {
    scheme.split_once('+').map_or(scheme, |(scheme, _)| scheme)
}
