//! What a lease knows about its connection's condition, from the operations that went through it.

use crate::observer::CloseReason;
use crate::state::Verdict;
use crate::statement::Effect;
use crate::work::{Work, WriteTrouble};

/// Starts clean; every operation marks it before it begins and unmarks it when it has ended well, so that an operation
/// whose future is dropped half-way leaves its mark.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// An operation has begun and not ended.
    busy: bool,
    /// A transaction has been begun and not ended, as far as the statements show.
    in_transaction: bool,
    /// Something may have happened that nobody saw.
    unverified: bool,
    unusable: Option<CloseReason>,
    /// The operation that has begun means to change something.
    writes: bool,
    work: Work,
}

impl Condition {
    /// An operation begins.
    pub(crate) fn begin(&mut self, effect: Effect) {
        self.busy = true;
        self.writes = false;
        self.in_transaction |= effect == Effect::Opens;
    }

    /// The operation that has begun means to change something.
    pub(crate) fn writes(&mut self) {
        self.writes = true;
    }

    /// The operation has ended well. The database answers in order, so anything before it has ended too.
    pub(crate) fn complete(&mut self, effect: Effect) {
        self.busy = false;
        self.in_transaction &= effect != Effect::Ends;
        self.work.answered = true;
        if self.writes {
            self.work.write = Some(Ok(()));
        }
    }

    /// The operation has ended with an error.
    pub(crate) fn fail(&mut self, error: &sqlx::Error) {
        use sqlx::Error;
        if let Some(trouble) = WriteTrouble::of(error) {
            self.work.write = Some(Err(trouble));
        }
        match error {
            // Found on this side, after the database had answered or before it was asked.
            Error::RowNotFound | Error::InvalidArgument(_) | Error::Encode(_) => self.busy = false,
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => {
                self.discard(CloseReason::Broken);
            }
            Error::Database(error) if error.code().is_some_and(|code| ends_the_session(&code)) => {
                self.discard(CloseReason::Broken);
            }
            // The database's own errors may be its last words; the others may leave rows unread.
            _ => self.unverified = true,
        }
    }

    /// The raw connection was lent out: what was done with it is unknown.
    pub(crate) fn lend(&mut self) {
        self.unverified = true;
    }

    /// A transaction is open, as far as the statements show.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// The connection is not to be used again.
    pub(crate) fn discard(&mut self, reason: CloseReason) {
        self.unusable.get_or_insert(reason);
    }

    /// What the operations have met.
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.unusable {
            Some(reason) => Verdict::Unusable(reason),
            None if self.busy || self.in_transaction || self.unverified => Verdict::Doubtful,
            None => Verdict::Clean,
        }
    }
}

/// PostgreSQL's classes for an administrator who ends the session (57P01 to 57P05) and for lost connections (08).
fn ends_the_session(code: &str) -> bool {
    code.starts_with("57P") || (code.len() == 5 && code.starts_with("08"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_leaves_a_mark_until_it_has_ended_well() {
        let mut condition = Condition::default();
        assert_eq!(condition.verdict(), Verdict::Clean);
        condition.begin(Effect::None);
        assert_eq!(condition.verdict(), Verdict::Doubtful);
        condition.complete(Effect::None);
        assert_eq!(condition.verdict(), Verdict::Clean);
    }

    #[test]
    fn a_transaction_is_open_until_it_is_ended() {
        let mut condition = Condition::default();
        condition.begin(Effect::Opens);
        condition.complete(Effect::Opens);
        condition.begin(Effect::None);
        condition.complete(Effect::None);
        assert_eq!(condition.verdict(), Verdict::Doubtful);
        condition.begin(Effect::Ends);
        condition.complete(Effect::Ends);
        assert_eq!(condition.verdict(), Verdict::Clean);
    }

    #[test]
    fn errors_are_told_apart() {
        let after = |error: sqlx::Error| {
            let mut condition = Condition::default();
            condition.begin(Effect::None);
            condition.fail(&error);
            condition.verdict()
        };
        assert_eq!(after(sqlx::Error::RowNotFound), Verdict::Clean);
        assert_eq!(after(sqlx::Error::WorkerCrashed), Verdict::Unusable(CloseReason::Broken));
        assert_eq!(after(sqlx::Error::BeginFailed), Verdict::Doubtful);
    }
}
