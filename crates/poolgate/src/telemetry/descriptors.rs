//! File descriptors: every connection and every event stream needs one, and systems allow few by default.

/// Raises this process's soft limit to the hard one; warns if that is less than `needed`.
#[cfg(unix)]
pub(crate) fn raise_limit(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "Cannot raise the soft limit of open files");
    }
    // `None` means unlimited.
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "The limit of open files is too low for server.max_connections: raise it (ulimit -n, LimitNOFILE=)"
        );
    }
}

/// This system has no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit(_needed: u64) {}
