//! Transactions on a lease, which sees their end.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{Connection, Database, SqlSafeStr};

use super::condition::Condition;
use super::guard::{Access, InUse, Lease};
use crate::database::{Backend, reset};
use crate::statement::{self, Bounds, Effect, Leaves};

/// A transaction on a [`Lease`]. Run queries on `&mut transaction`, or on `&mut *transaction`, the sqlx connection, for
/// functions that accept nothing else. End it with [`commit`](Self::commit) or [`rollback`](Self::rollback). If dropped
/// without either, it is rolled back in the background before the connection goes to its next user.
pub struct Transaction<'l, DB: Database> {
    inner: sqlx::Transaction<'l, DB>,
    condition: &'l mut Condition,
    access: Access<'l, DB>,
}

impl<DB: Database> Lease<DB> {
    /// Begins a transaction.
    ///
    /// # Errors
    /// The database's error.
    pub async fn begin(&mut self) -> sqlx::Result<Transaction<'_, DB>> {
        let InUse { connection, condition, access } = self.in_use()?;
        // Marked as open in advance: sqlx does not undo a BEGIN whose future is dropped half-way.
        condition.begin(Effect::OPENS);
        if let Err(error) = access.end_cut_short(connection, condition).await {
            return Err(failed(condition, error));
        }
        match access.wait.watch(connection.begin()).await {
            Ok(inner) => Ok(Transaction::new(inner, condition, access)),
            Err(error) => Err(failed(condition, error)),
        }
    }
}

impl<DB: Backend> Lease<DB> {
    /// Begins a transaction with this statement, such as SQLite's `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// The database's error, or that the statement did not begin a transaction.
    pub async fn begin_with(&mut self, statement: impl SqlSafeStr + Send) -> sqlx::Result<Transaction<'_, DB>> {
        let statement = statement.into_sql_str();
        let InUse { connection, condition, access } = self.in_use()?;
        let effect = statement::effect(statement.as_str(), DB::dialect(connection));
        condition.begin(Effect { transaction: Bounds::Opens, ..effect });
        if let Err(error) = access.end_cut_short(connection, condition).await {
            return Err(failed(condition, error));
        }
        match access.wait.watch(connection.begin_with(statement)).await {
            Ok(inner) => Ok(Transaction::new(inner, condition, access)),
            Err(error) => Err(failed(condition, error)),
        }
    }
}

impl<DB: Backend> Transaction<'_, DB> {
    /// Commits the transaction.
    ///
    /// # Errors
    /// The database's error, or [`Revoked`](crate::Revoked).
    pub async fn commit(self) -> sqlx::Result<()> {
        let Self { mut inner, condition, access } = self;
        access.check()?;
        // Behind a PgBouncer the next client would get the changed session.
        if access.is_behind_pgbouncer() && access.resets() && condition.leaves() == Leaves::State {
            if let Err(error) = access.wait.watch(DB::run(&mut inner, reset::IN_TRANSACTION)).await {
                return Err(failed(condition, error));
            }
            condition.changes_undone();
        }
        let result = access.wait.watch(inner.commit()).await;
        end(condition, result)
    }
}

impl<'l, DB: Database> Transaction<'l, DB> {
    /// Rolls the transaction back.
    ///
    /// # Errors
    /// The database's error.
    pub async fn rollback(self) -> sqlx::Result<()> {
        let Self { inner, condition, access } = self;
        let result = access.wait.watch(inner.rollback()).await;
        end(condition, result)
    }

    /// sqlx's own transaction, for functions that take it. Do not replace it there to end it.
    pub fn as_sqlx(&mut self) -> &mut sqlx::Transaction<'l, DB> {
        self.condition.lend();
        &mut self.inner
    }

    /// What an operation needs, unless the lease was revoked.
    pub(super) fn in_use(&mut self) -> sqlx::Result<InUse<'_, DB, DB::Connection>> {
        self.access.check()?;
        Ok(InUse { connection: &mut self.inner, condition: self.condition, access: self.access })
    }

    fn new(inner: sqlx::Transaction<'l, DB>, condition: &'l mut Condition, access: Access<'l, DB>) -> Self {
        condition.complete(Effect::OPENS);
        Self { inner, condition, access }
    }
}

fn end(condition: &mut Condition, result: sqlx::Result<()>) -> sqlx::Result<()> {
    match result {
        Ok(()) => {
            condition.complete(Effect::ENDS);
            Ok(())
        }
        Err(error) => Err(failed(condition, error)),
    }
}

fn failed(condition: &mut Condition, error: sqlx::Error) -> sqlx::Error {
    condition.fail(&error);
    error
}

impl<DB: Database> Deref for Transaction<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<DB: Database> DerefMut for Transaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.condition.lend();
        &mut self.inner
    }
}

impl<DB: Database> fmt::Debug for Transaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("condition", &self.condition).finish_non_exhaustive()
    }
}
