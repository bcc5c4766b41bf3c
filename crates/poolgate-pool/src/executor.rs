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

use crate::backend::{Backend, Operations};
use crate::bouncer;
use crate::condition::Condition;
use crate::lease::{InUse, Lease, Title};
use crate::renewal::{self, Renew};
use crate::reset;
use crate::statement::{self, Bounds, Dialect, Effect, Leaves};
use crate::transaction::Transaction;

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
                let dialect = <$database>::dialect(connection);
                let (query, effect) = Parts::of(query, dialect, !title.is_bounced());
                let way = Way::of(&query, effect, &title, in_transaction(connection, condition), condition);
                condition.begin(effect.by(&way));
                let inner = match way {
                    Way::Straight => connection.fetch_many(query),
                    Way::Renewed(renew) => renewal::fetch_many::<$database, _>(connection, query, renew),
                    Way::Alone { tidies, renew } => {
                        bouncer::fetch_many::<$database, _>(connection, query, tidies, renew)
                    }
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
                let dialect = <$database>::dialect(connection);
                let (query, effect) = Parts::of(query, dialect, !title.is_bounced());
                let way = Way::of(&query, effect, &title, in_transaction(connection, condition), condition);
                condition.begin(effect.by(&way));
                Box::pin(async move {
                    let fetched = match way {
                        Way::Straight => connection.fetch_optional(query).await,
                        Way::Renewed(renew) => renewal::fetch_optional::<$database, _>(connection, query, renew).await,
                        Way::Alone { tidies, renew } => {
                            bouncer::fetch_optional::<$database, _>(connection, query, tidies, renew).await
                        }
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
                let InUse { connection, condition, title } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::NONE);
                Box::pin(async move {
                    let prepared = match title.settle(connection, condition).await {
                        Ok(()) => connection.prepare_with(sql, parameters).await,
                        Err(error) => Err(error),
                    };
                    noted(prepared, condition, Effect::NONE)
                })
            }

            #[cfg(feature = "macros")]
            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<$database>>>
            where
                'c: 'e,
            {
                let InUse { connection, condition, title } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::NONE);
                Box::pin(async move {
                    let described = match title.settle(connection, condition).await {
                        Ok(()) => connection.describe(sql).await,
                        Err(error) => Err(error),
                    };
                    noted(described, condition, Effect::NONE)
                })
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

/// How a query gets to the database.
enum Way<DB: Database> {
    Straight,
    /// After what was prepared has been forgotten, or the transaction of a query that was cut short has ended.
    Renewed(Renew<DB>),
    /// In a transaction of its own, after that, and what it leaves in the session is taken away before that ends.
    Alone {
        tidies: bool,
        renew: Option<Renew<DB>>,
    },
}

impl<DB: Backend> Way<DB> {
    fn of(
        query: &Parts<DB>,
        effect: Effect,
        title: &Title<'_, DB>,
        in_transaction: bool,
        condition: &mut Condition,
    ) -> Self {
        if title.is_bounced() {
            let tidies = title.resets() && effect.leaves == Leaves::State && effect.transaction == Bounds::Neither;
            let renew: Option<Renew<DB>> = condition.take_alone().then_some(reset::roll_back::<DB>);
            let alone = !in_transaction && (tidies || query.is_prepared());
            if alone || renew.is_some() {
                condition.begin_alone();
            }
            return match renew {
                _ if alone => Self::Alone { tidies, renew },
                Some(renew) => Self::Renewed(renew),
                None => Self::Straight,
            };
        }
        if DB::FORGETS && condition.take_stale() { Self::Renewed(DB::forget) } else { Self::Straight }
    }
}

impl Effect {
    /// What is left when the query went this way.
    fn by<DB: Database>(self, way: &Way<DB>) -> Self {
        match way {
            Way::Alone { tidies: true, .. } => Self { leaves: Leaves::Nothing, ..self },
            Way::Alone { tidies: false, .. } | Way::Straight | Way::Renewed(_) => self,
        }
    }
}

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
}

impl<DB: Database> Parts<DB> {
    fn of<'q>(mut query: impl Execute<'q, DB>, dialect: Dialect, keeps_statements: bool) -> (Self, Effect) {
        let statement = query.statement().cloned();
        let arguments = query.take_arguments();
        let persistent = keeps_statements && query.persistent();
        let sql = query.sql();
        let effect = statement::effect(sql.as_str(), dialect);
        (Self { sql, statement, arguments, persistent }, effect)
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
