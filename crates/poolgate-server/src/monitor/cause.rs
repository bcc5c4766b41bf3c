//! Why the database could not be reached, in words.

use std::{error::Error, sync::Arc};

use poolgate_control::Reachability;
use poolgate_pool::AcquireError;

/// The longest cause that is passed on, in characters.
const LONGEST: usize = 300;

/// A failed attempt to reach the database.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What it shows about the database.
    pub(crate) reachability: Reachability,
    /// The message, on one line. sqlx's errors contain no password.
    pub(crate) cause: Arc<str>,
}

impl Failure {
    pub(crate) fn of(error: &AcquireError) -> Self {
        let (reachability, cause) = match error {
            AcquireError::LoginRefused(error) => (Reachability::LoginRefused, plain(error)),
            AcquireError::ServerFull(error) => (Reachability::ServerFull, plain(error)),
            AcquireError::Connect(error) => (Reachability::Silent, plain(error)),
            AcquireError::ConnectTimeout { limit } => {
                (Reachability::Silent, format!("no answer within {:.1} s", limit.as_secs_f64()))
            }
            other => (Reachability::Silent, other.to_string()),
        };
        Self { reachability, cause: tidy(&cause) }
    }

    /// A failed connect of any kind of pool.
    pub(crate) fn of_connect(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        error.downcast_ref::<AcquireError>().map_or_else(|| Self::silent(error), Self::of)
    }

    /// A failed question on an open connection.
    pub(crate) fn silent(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        let cause = error.downcast_ref::<sqlx::Error>().map_or_else(|| error.to_string(), plain);
        Self { reachability: Reachability::Silent, cause: tidy(&cause) }
    }
}

/// The message of the database or the system, without sqlx's prefix.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn tidy(text: &str) -> Arc<str> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line_of_bounded_length() {
        let text = format!("no\nluck {}", "x".repeat(1000));
        let failure = Failure::silent(&*Box::<dyn Error + Send + Sync>::from(text));
        assert!(failure.cause.starts_with("no luck xxx") && failure.cause.chars().count() == LONGEST);
    }
}
