//! Queries on a lease or its transaction: sqlx's own, with a mark that says when one was cut short.

use std::future::ready;
use std::mem;
use std::pin::Pin;
use std::task::{self, Context, Poll};

use futures_core::future::BoxFuture;
use futures_core::stream::{BoxStream, Stream};
use futures_util::stream;
use sqlx::error::BoxDynError;
use sqlx::{Connection, Database, Either, Execute, Executor, SqlStr};

use crate::bouncer;
use crate::condition::Condition;
use crate::lease::{InUse, Lease};
use crate::statement::{self, Effect};
use crate::transaction::Transaction;
use crate::work::is_write;

/// One implementation for each database and not one for all: with a generic one the compiler, asked whether some
/// `&mut _` is an executor, would look for ever at leases of leases.
macro_rules! executor {
    ($database:ty, $holder:ty) => {
        impl<'c> Executor<'c> for &'c mut $holder {
            type Database = $database;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Outcome<$database>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let InUse { connection, condition, title } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(stream::once(ready(Err(error)))),
                };
                let (query, effect) = Parts::of(query, !title.is_bounced());
                let alone = query.is_prepared() && title.is_bounced() && !in_transaction(connection, condition);
                condition.begin(effect);
                if query.writes {
                    condition.writes();
                }
                let inner = match alone {
                    true => bouncer::fetch_many::<$database, _>(connection, query),
                    false => connection.fetch_many(query),
                };
                Box::pin(Watched { inner, condition, effect })
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<<$database as Database>::Row>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let InUse { connection, condition, title } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                let (query, effect) = Parts::of(query, !title.is_bounced());
                let alone = query.is_prepared() && title.is_bounced() && !in_transaction(connection, condition);
                condition.begin(effect);
                if query.writes {
                    condition.writes();
                }
                Box::pin(async move {
                    let fetched = match alone {
                        true => bouncer::fetch_optional::<$database, _>(connection, query).await,
                        false => connection.fetch_optional(query).await,
                    };
                    noted(fetched, condition, effect)
                })
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [<$database as Database>::TypeInfo],
            ) -> BoxFuture<'e, sqlx::Result<<$database as Database>::Statement>>
            where
                'c: 'e,
            {
                let InUse { connection, condition, .. } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::None);
                let prepare = connection.prepare_with(sql, parameters);
                Box::pin(async move { noted(prepare.await, condition, Effect::None) })
            }

            #[cfg(feature = "macros")]
            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<$database>>>
            where
                'c: 'e,
            {
                let InUse { connection, condition, .. } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::None);
                let describe = connection.describe(sql);
                Box::pin(async move { noted(describe.await, condition, Effect::None) })
            }
        }
    };
}

executor!(sqlx::Any, Lease<sqlx::Any>);
executor!(sqlx::Postgres, Lease<sqlx::Postgres>);
executor!(sqlx::Sqlite, Lease<sqlx::Sqlite>);
executor!(sqlx::Any, Transaction<'_, sqlx::Any>);
executor!(sqlx::Postgres, Transaction<'_, sqlx::Postgres>);
executor!(sqlx::Sqlite, Transaction<'_, sqlx::Sqlite>);

type Outcome<DB> = sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>;

fn in_transaction(connection: &impl Connection, condition: &Condition) -> bool {
    condition.in_transaction() || connection.is_in_transaction()
}

fn noted<T>(result: sqlx::Result<T>, condition: &mut Condition, effect: Effect) -> sqlx::Result<T> {
    match &result {
        Ok(_) => condition.complete(effect),
        Err(error) => condition.fail(error),
    }
    result
}

/// A query's rows; complete when they have ended.
struct Watched<'e, T> {
    inner: BoxStream<'e, sqlx::Result<T>>,
    condition: &'e mut Condition,
    effect: Effect,
}

impl<T> Stream for Watched<'_, T> {
    type Item = sqlx::Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = task::ready!(this.inner.as_mut().poll_next(cx));
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => this.condition.fail(error),
            None => this.condition.complete(this.effect),
        }
        Poll::Ready(item)
    }
}

/// A query taken apart, to read its text on the way.
struct Parts<DB: Database> {
    sql: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Result<Option<DB::Arguments>, BoxDynError>,
    persistent: bool,
    writes: bool,
}

impl<DB: Database> Parts<DB> {
    fn of<'q>(mut query: impl Execute<'q, DB>, keeps_statements: bool) -> (Self, Effect) {
        let statement = query.statement().cloned();
        let arguments = query.take_arguments();
        let persistent = keeps_statements && query.persistent();
        let sql = query.sql();
        let effect = statement::effect(sql.as_str());
        let writes = is_write(sql.as_str());
        (Self { sql, statement, arguments, persistent, writes }, effect)
    }
}

impl<DB: Database> Parts<DB> {
    /// Whether it will be prepared before it is run.
    fn is_prepared(&self) -> bool {
        matches!(self.arguments, Ok(Some(_)))
    }
}

impl<DB: Database> Execute<'_, DB> for Parts<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
