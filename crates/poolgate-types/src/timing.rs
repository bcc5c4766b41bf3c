//! Intervals that server and clients must agree on.

use std::time::Duration;

/// How often a client without a stream asks for the config while a limit is in force or the breaker is not closed.
pub const POLL_ENFORCED: Duration = Duration::from_secs(5);
/// How often it asks otherwise.
pub const POLL: Duration = Duration::from_secs(30);

/// How long a config holds without news while a limit is in force or the breaker is not closed.
pub const TTL_ENFORCED: Duration = Duration::from_secs(10);
/// How long it holds otherwise.
pub const TTL: Duration = Duration::from_secs(90);

/// Time between two heartbeats of a stream while a limit is in force; half of [`TTL_ENFORCED`].
pub const HEARTBEAT_ENFORCED: Duration = Duration::from_secs(5);
/// Time between two heartbeats otherwise.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// A client closes a stream that was silent for this time, three heartbeats, while a limit is in force.
pub const SILENCE_ENFORCED: Duration = Duration::from_secs(15);
/// A client closes a stream that was silent for this time otherwise.
pub const SILENCE: Duration = Duration::from_secs(45);

/// Shortest time between two `status` events of a stream.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Clients come back at random moments within this time when the server ends their streams. A server with many clients asks
/// for a longer time.
pub const RETURN_WITHIN: Duration = Duration::from_millis(2500);
/// They wait at least this time before.
pub const LEAST_RETURN: Duration = Duration::from_millis(500);
/// A client ignores that a server asks for a longer time than this.
pub const LONGEST_RETURN: Duration = Duration::from_secs(600);

/// First wait of a client before it opens a stream again that broke. It doubles with each failure.
pub const RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
pub const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// How long a route of the health API may take to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An interval in the whole seconds that a config has.
pub const fn seconds(interval: Duration) -> u32 {
    interval.as_secs() as u32
}

/// An interval in whole milliseconds.
pub const fn milliseconds(interval: Duration) -> u32 {
    interval.as_millis() as u32
}
