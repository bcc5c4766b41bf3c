//! Why the database could not be reached, in words for people.

use std::{error::Error, sync::Arc};

use poolgate_control::Contact;
use poolgate_pool::AcquireError;

/// The longest reason that is passed on, in characters.
const LONGEST: usize = 300;

/// A failed attempt to reach the database.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What it says about the database.
    pub(crate) contact: Contact,
    /// What was said, on one line. sqlx's errors hold no password.
    pub(crate) cause: Arc<str>,
}

impl Failure {
    pub(crate) fn of(error: &AcquireError) -> Self {
        let (contact, cause) = match error {
            AcquireError::LoginRefused(error) => (Contact::LoginRefused, plain(error)),
            AcquireError::ServerFull(error) => (Contact::ServerFull, plain(error)),
            AcquireError::Connect(error) => (Contact::Silent, plain(error)),
            AcquireError::ConnectTimeout { limit } => {
                (Contact::Silent, format!("no answer within {:.1} s", limit.as_secs_f64()))
            }
            other => (Contact::Silent, other.to_string()),
        };
        Self { contact, cause: tidy(&cause) }
    }

    /// A connect that failed, of whatever kind of pool.
    pub(crate) fn of_connect(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        error.downcast_ref::<AcquireError>().map_or_else(|| Self::silent(error), Self::of)
    }

    /// A question on an open connection that failed.
    pub(crate) fn silent(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        let cause = error.downcast_ref::<sqlx::Error>().map_or_else(|| error.to_string(), plain);
        Self { contact: Contact::Silent, cause: tidy(&cause) }
    }
}

/// What the database or the system said, without what sqlx says before it.
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
