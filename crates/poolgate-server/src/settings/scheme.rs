//! The schemes of database URLs, as different as frameworks write them.

use poolgate_types::Backend;

/// The kind of database that a pool can have. Schemes are read in any case; a driver's name behind a `+`, as SQLAlchemy
/// and others write it, says nothing about the database.
pub(super) fn backend(scheme: &str) -> Option<Backend> {
    let scheme = without_driver(scheme);
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match () {
        () if is("postgres") || is("postgresql") => Some(Backend::Postgres),
        () if is("sqlite") => Some(Backend::Sqlite),
        () => None,
    }
}

/// Whether a URL may begin so: one for a pool, or one of a source that can be watched.
pub(super) fn is_known(scheme: &str) -> bool {
    backend(scheme).is_some() || is_pgbouncer(scheme)
}

/// Whether it is that of a PgBouncer that is watched.
pub(super) fn is_pgbouncer(scheme: &str) -> bool {
    without_driver(scheme).eq_ignore_ascii_case("pgbouncer")
}

fn without_driver(scheme: &str) -> &str {
    scheme.split_once('+').map_or(scheme, |(scheme, _)| scheme)
}
