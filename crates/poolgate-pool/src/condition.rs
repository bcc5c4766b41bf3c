//! What a lease knows about its connection's condition, from the operations that went through it.

use crate::observer::CloseReason;
use crate::remedy::{self, Remedy};
use crate::state::{Upkeep, Verdict};
use crate::statement::{Bounds, Effect, Leaves};
use crate::work::{Work, WriteTrouble};

/// Starts clean; every operation marks it before it begins and unmarks it when it has ended well, so that an operation
/// whose future is dropped half-way leaves its mark.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// An operation has begun and not ended.
    busy: bool,
    /// A transaction has been begun and not ended, as far as the statements show.
    in_transaction: bool,
    /// A query has begun in a transaction of its own and not ended well.
    alone: bool,
    /// Something may have happened that nobody saw.
    unverified: bool,
    /// The raw connection was lent out.
    lent: bool,
    /// What the statements leave behind in the session.
    leaves: Leaves,
    /// The prepared statements are of no use any more.
    stale: bool,
    /// They have been forgotten before.
    renewed: bool,
    /// The server refused to write.
    refused: bool,
    unusable: Option<CloseReason>,
    work: Work,
}

impl Condition {
    /// That of a connection whose statements have been `renewed` before, or not.
    pub(crate) fn new(renewed: bool) -> Self {
        Self { renewed, ..Self::default() }
    }

    /// An operation begins.
    pub(crate) fn begin(&mut self, effect: Effect) {
        self.busy = true;
        self.in_transaction |= effect.transaction == Bounds::Opens;
        self.leaves = self.leaves.max(effect.leaves);
    }

    /// The operation that begins runs in a transaction of its own, which stays open if it is cut short.
    pub(crate) fn begin_alone(&mut self) {
        self.alone = true;
    }

    /// Whether such a transaction may be open, which has to be ended before the next operation; who asks, does it.
    pub(crate) fn take_alone(&mut self) -> bool {
        std::mem::take(&mut self.alone)
    }

    /// The operation has ended well. The database answers in order, so anything before it has ended too.
    pub(crate) fn complete(&mut self, effect: Effect) {
        self.busy = false;
        self.alone = false;
        self.in_transaction &= effect.transaction != Bounds::Ends;
        self.work.answered = true;
        if effect.writes {
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
            Error::Database(error) => {
                // The database's own errors may be its last words.
                self.unverified = true;
                match remedy::of(error.as_ref()) {
                    Remedy::RollBack => {}
                    Remedy::Renew => self.stale = true,
                    Remedy::RenewOnce => {
                        self.stale = true;
                        // What is stale may be of a function's own, which the next user should not have to find out.
                        if std::mem::replace(&mut self.renewed, true) {
                            self.discard(CloseReason::Stale);
                        }
                    }
                    Remedy::AskRole => self.refused = true,
                    Remedy::Close => self.discard(CloseReason::Broken),
                }
            }
            // The others may leave rows unread.
            _ => self.unverified = true,
        }
    }

    /// The raw connection was lent out: what was done with it is unknown.
    pub(crate) fn lend(&mut self) {
        self.unverified = true;
        self.lent = true;
        self.leaves = self.leaves.max(Leaves::Unknown);
    }

    /// A transaction is open, as far as the statements show.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// What the statements have left behind so far.
    pub(crate) fn leaves(&self) -> Leaves {
        self.leaves
    }

    /// It was taken away with the transaction that left it.
    pub(crate) fn left_nothing(&mut self) {
        self.leaves = Leaves::Nothing;
    }

    /// Whether the prepared statements have to be forgotten before the next one; who asks, does it.
    pub(crate) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    pub(crate) fn renewed(&self) -> bool {
        self.renewed
    }

    /// The connection is not to be used again.
    pub(crate) fn discard(&mut self, reason: CloseReason) {
        self.unusable.get_or_insert(reason);
    }

    /// What the operations have met.
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// It may be used again, after all.
    pub(crate) fn keep(&mut self) {
        self.unusable = None;
    }

    /// What is to be done before somebody else gets the connection.
    pub(crate) fn upkeep(&self) -> Upkeep {
        Upkeep {
            reset: self.leaves > Leaves::Nothing,
            renew: self.stale,
            ask_role: self.refused,
            unsettled: self.busy || self.in_transaction || self.lent,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
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
            condition.upkeep().unsettled
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
