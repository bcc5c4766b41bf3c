//! Transactions whose end the lease sees.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{Connection, Database, SqlSafeStr};

use crate::backend::Backend;
use crate::condition::Condition;
use crate::lease::{InUse, Lease, Title};
use crate::reset;
use crate::statement::{self, Bounds, Effect, Leaves};

/// A transaction on a [`Lease`]. Run queries on `&mut transaction`, or on `&mut *transaction`, the sqlx connection, where
/// nothing else is taken; end it with [`commit`](Self::commit) or [`rollback`](Self::rollback). Dropped without either it
/// is rolled back in the background, before the connection goes to its next user.
pub struct Transaction<'l, DB: Database> {
    inner: sqlx::Transaction<'l, DB>,
    condition: &'l mut Condition,
    title: Title<'l, DB>,
}

impl<DB: Database> Lease<DB> {
    /// Begins a transaction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin(&mut self) -> sqlx::Result<Transaction<'_, DB>> {
        let InUse { connection, condition, title } = self.in_use()?;
        // Marked as open before it is: sqlx does not undo a BEGIN whose future is dropped half-way.
        condition.begin(Effect::OPENS);
        if let Err(error) = title.settle(connection, condition).await {
            return Err(failed(condition, error));
        }
        match connection.begin().await {
            Ok(inner) => Ok(Transaction::new(inner, condition, title)),
            Err(error) => Err(failed(condition, error)),
        }
    }
}

impl<DB: Backend> Lease<DB> {
    /// Begins a transaction with a statement of its own, such as SQLite's `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// What the database says, or that the statement did not begin a transaction.
    pub async fn begin_with(&mut self, statement: impl SqlSafeStr + Send) -> sqlx::Result<Transaction<'_, DB>> {
        let statement = statement.into_sql_str();
        let InUse { connection, condition, title } = self.in_use()?;
        let effect = statement::effect(statement.as_str(), DB::dialect(connection));
        condition.begin(Effect { transaction: Bounds::Opens, ..effect });
        if let Err(error) = title.settle(connection, condition).await {
            return Err(failed(condition, error));
        }
        match connection.begin_with(statement).await {
            Ok(inner) => Ok(Transaction::new(inner, condition, title)),
            Err(error) => Err(failed(condition, error)),
        }
    }
}

impl<DB: Backend> Transaction<'_, DB> {
    /// Makes the transaction's work last.
    ///
    /// # Errors
    /// What the database says, or [`Revoked`](crate::Revoked).
    pub async fn commit(self) -> sqlx::Result<()> {
        let Self { mut inner, condition, title } = self;
        title.check()?;
        // Behind a PgBouncer what it left in the session would be the next client's.
        if title.is_bounced() && title.resets() && condition.leaves() == Leaves::State {
            if let Err(error) = DB::run(&mut inner, reset::WITHIN).await {
                return Err(failed(condition, error));
            }
            condition.left_nothing();
        }
        let result = inner.commit().await;
        end(condition, result)
    }
}

impl<'l, DB: Database> Transaction<'l, DB> {
    /// Undoes the transaction's work.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rollback(self) -> sqlx::Result<()> {
        let Self { inner, condition, .. } = self;
        let result = inner.rollback().await;
        end(condition, result)
    }

    /// sqlx's own transaction, for functions that take it. It must not be ended there by replacing it.
    pub fn as_sqlx(&mut self) -> &mut sqlx::Transaction<'l, DB> {
        self.condition.lend();
        &mut self.inner
    }

    /// What an operation needs, unless the lease was revoked.
    pub(crate) fn in_use(&mut self) -> sqlx::Result<InUse<'_, DB, DB::Connection>> {
        self.title.check()?;
        Ok(InUse { connection: &mut self.inner, condition: self.condition, title: self.title })
    }

    fn new(inner: sqlx::Transaction<'l, DB>, condition: &'l mut Condition, title: Title<'l, DB>) -> Self {
        condition.complete(Effect::OPENS);
        Self { inner, condition, title }
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
