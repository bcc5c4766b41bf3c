//! What a lease knows about its connection's condition, from the operations that used the lease.

use crate::database::remedy::{self, Remedy};
use crate::observer::CloseReason;
use crate::state::{Upkeep, Verdict};
use crate::statement::{Bounds, Effect, Leaves};
use crate::work::{Work, WriteTrouble};

/// Starts clean. Every operation sets a mark before it begins and removes it after it succeeded, so that an operation
/// whose future is dropped half-way leaves its mark.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// An operation has begun and has not ended.
    busy: bool,
    /// A transaction is open, as far as the statements show.
    in_transaction: bool,
    /// A query was started in a transaction of its own and has not succeeded.
    own_transaction: bool,
    /// Something may have happened that the lease did not see.
    unverified: bool,
    /// The sqlx connection was lent out.
    lent: bool,
    /// How the statements changed the session.
    leaves: Leaves,
    /// The prepared statements are outdated.
    stale: bool,
    /// The prepared statements have been discarded before.
    renewed: bool,
    /// The server refused a write.
    refused: bool,
    unusable: Option<CloseReason>,
    work: Work,
}

impl Condition {
    /// `renewed`: whether the connection's prepared statements have been discarded before.
    pub(super) fn new(renewed: bool) -> Self {
        Self { renewed, ..Self::default() }
    }

    /// An operation begins.
    pub(super) fn begin(&mut self, effect: Effect) {
        self.busy = true;
        self.in_transaction |= effect.transaction == Bounds::Opens;
        self.leaves = self.leaves.max(effect.leaves);
    }

    /// The operation that begins runs in a transaction of its own, which stays open if the operation is cut short.
    pub(super) fn begin_own_transaction(&mut self) {
        self.own_transaction = true;
    }

    /// Whether such a transaction may be open. Clears the mark: the caller must roll back before the next operation.
    pub(super) fn take_own_transaction(&mut self) -> bool {
        std::mem::take(&mut self.own_transaction)
    }

    /// The operation has succeeded. The database answers in order, so all earlier operations have ended too.
    pub(super) fn complete(&mut self, effect: Effect) {
        self.busy = false;
        self.own_transaction = false;
        self.in_transaction &= effect.transaction != Bounds::Ends;
        self.work.answered = true;
        if effect.writes {
            self.work.write = Some(Ok(()));
        }
    }

    /// The operation has failed.
    pub(super) fn fail(&mut self, error: &sqlx::Error) {
        use sqlx::Error;
        if let Some(trouble) = WriteTrouble::of(error) {
            self.work.write = Some(Err(trouble));
        }
        match error {
            // Errors of this side, after the database had answered or before it was asked.
            Error::RowNotFound | Error::InvalidArgument(_) | Error::Encode(_) => self.busy = false,
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => {
                self.discard(CloseReason::Broken);
            }
            Error::Database(error) => {
                // The session may end after an error of the database.
                self.unverified = true;
                match remedy::of(error.as_ref()) {
                    Remedy::RollBack => {}
                    Remedy::DiscardStatements => self.stale = true,
                    Remedy::DiscardStatementsOnce => {
                        self.stale = true;
                        // The outdated plan may belong to a function, where discarding statements does not help.
                        if std::mem::replace(&mut self.renewed, true) {
                            self.discard(CloseReason::Stale);
                        }
                    }
                    Remedy::AskRole => self.refused = true,
                    Remedy::Close => self.discard(CloseReason::Broken),
                }
            }
            // Other errors may leave rows unread.
            _ => self.unverified = true,
        }
    }

    /// The sqlx connection was lent out: what is done with it is unknown.
    pub(super) fn lend(&mut self) {
        self.unverified = true;
        self.lent = true;
        self.leaves = self.leaves.max(Leaves::Unknown);
    }

    /// A transaction is open, as far as the statements show.
    pub(super) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// How the statements have changed the session so far.
    pub(super) fn leaves(&self) -> Leaves {
        self.leaves
    }

    /// The changes were undone within their transaction.
    pub(super) fn changes_undone(&mut self) {
        self.leaves = Leaves::Nothing;
    }

    /// Whether the prepared statements are outdated. Clears the mark: the caller must discard them before the next one.
    pub(super) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    pub(super) fn renewed(&self) -> bool {
        self.renewed
    }

    /// The connection must not be used again.
    pub(super) fn discard(&mut self, reason: CloseReason) {
        self.unusable.get_or_insert(reason);
    }

    /// How the operations have ended.
    pub(super) fn work(&self) -> Work {
        self.work
    }

    /// Undoes [`discard`](Self::discard).
    pub(super) fn keep(&mut self) {
        self.unusable = None;
    }

    /// What must be done before the next user gets the connection.
    pub(super) fn upkeep(&self) -> Upkeep {
        Upkeep {
            reset: self.leaves > Leaves::Nothing,
            discard_statements: self.stale,
            ask_role: self.refused,
            end_transaction: self.busy || self.in_transaction || self.lent,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.unusable {
            Some(reason) => Verdict::Unusable(reason),
            None if self.busy || self.in_transaction || self.unverified => Verdict::Doubtful,
            None => Verdict::Clean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_leaves_a_mark_until_it_has_ended_well() {
        let mut condition = Condition::default();
        assert_eq!(condition.verdict(), Verdict::Clean);
        condition.begin(Effect::NONE);
        assert_eq!(condition.verdict(), Verdict::Doubtful);
        condition.complete(Effect::NONE);
        assert_eq!(condition.verdict(), Verdict::Clean);
    }

    #[test]
    fn a_transaction_is_open_until_it_is_ended() {
        let mut condition = Condition::default();
        condition.begin(Effect::OPENS);
        condition.complete(Effect::OPENS);
        condition.begin(Effect::NONE);
        condition.complete(Effect::NONE);
        assert_eq!(condition.verdict(), Verdict::Doubtful);
        condition.begin(Effect::ENDS);
        condition.complete(Effect::ENDS);
        assert_eq!(condition.verdict(), Verdict::Clean);
    }

    #[test]
    fn a_transaction_may_be_open_only_after_what_may_have_opened_one() {
        let after = |effect: Effect, ending: fn(&mut Condition, Effect)| {
            let mut condition = Condition::default();
            condition.begin(effect);
            ending(&mut condition, effect);
            condition.upkeep().end_transaction
        };
        assert!(!after(Effect::NONE, Condition::complete));
        assert!(after(Effect::NONE, |_, _| {}), "cut short");
        assert!(after(Effect::OPENS, Condition::complete));
        assert!(after(Effect::NONE, |condition, effect| {
            condition.complete(effect);
            condition.lend();
        }));
    }

    #[test]
    fn what_a_statement_leaves_behind_asks_for_a_reset_even_if_it_was_cut_short() {
        let mut condition = Condition::default();
        condition.begin(Effect { leaves: Leaves::State, ..Effect::NONE });
        assert!(condition.upkeep().reset);
        condition.complete(Effect::NONE);
        assert!(condition.upkeep().reset);
    }

    #[test]
    fn errors_are_told_apart() {
        let after = |error: sqlx::Error| {
            let mut condition = Condition::default();
            condition.begin(Effect::NONE);
            condition.fail(&error);
            condition.verdict()
        };
        assert_eq!(after(sqlx::Error::RowNotFound), Verdict::Clean);
        assert_eq!(after(sqlx::Error::WorkerCrashed), Verdict::Unusable(CloseReason::Broken));
        assert_eq!(after(sqlx::Error::BeginFailed), Verdict::Doubtful);
    }
}
