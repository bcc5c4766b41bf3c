//! Queries on a lease or its transaction: sqlx's own, with a mark in the lease until each has ended.

use std::future::ready;
use std::mem;
use std::pin::Pin;
use std::task::{self, Context, Poll};

use futures_core::future::BoxFuture;
use futures_core::stream::{BoxStream, Stream};
use futures_util::stream;
use sqlx::error::BoxDynError;
use sqlx::{Connection, Database, Either, Execute, Executor, SqlStr};

use super::condition::Condition;
use super::guard::{Access, InUse, Lease};
use super::transaction::Transaction;
use super::wait::Wait;
use super::{after_repair, own_transaction};
use crate::database::{Backend, Operations, Repair, reset};
use crate::statement::{self, Bounds, Dialect, Effect, Leaves};

/// One implementation for each database instead of a generic one: to find out whether some `&mut _` is an executor, the
/// compiler would otherwise look at leases of leases without end.
macro_rules! executor {
    ($database:ty, $holder:ty) => {
        impl<'c> Executor<'c> for &'c mut $holder {
            type Database = $database;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Outcome<$database>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let InUse { connection, condition, access } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(stream::once(ready(Err(error)))),
                };
                let dialect = <$database>::dialect(connection);
                let (query, effect) = Parts::of(query, dialect, !access.is_behind_pgbouncer());
                let way = Way::of(&query, effect, &access, in_transaction(connection, condition), condition);
                condition.begin(effect.by(&way));
                let inner = match way {
                    Way::Straight => connection.fetch_many(query),
                    Way::AfterRepair(repair) => after_repair::fetch_many::<$database, _>(connection, query, repair),
                    Way::InTransaction { resets, repair } => {
                        own_transaction::fetch_many::<$database, _>(connection, query, resets, repair)
                    }
                };
                Box::pin(Watched { inner, condition, effect, wait: access.wait })
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<<$database as Database>::Row>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let InUse { connection, condition, access } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                let dialect = <$database>::dialect(connection);
                let (query, effect) = Parts::of(query, dialect, !access.is_behind_pgbouncer());
                let way = Way::of(&query, effect, &access, in_transaction(connection, condition), condition);
                condition.begin(effect.by(&way));
                Box::pin(async move {
                    let fetched = access.wait.watch(async move {
                        match way {
                            Way::Straight => connection.fetch_optional(query).await,
                            Way::AfterRepair(repair) => {
                                after_repair::fetch_optional::<$database, _>(connection, query, repair).await
                            }
                            Way::InTransaction { resets, repair } => {
                                own_transaction::fetch_optional::<$database, _>(connection, query, resets, repair).await
                            }
                        }
                    });
                    noted(fetched.await, condition, effect)
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
                let InUse { connection, condition, access } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::NONE);
                Box::pin(async move {
                    let prepared = match access.end_cut_short(connection, condition).await {
                        Ok(()) => access.wait.watch(connection.prepare_with(sql, parameters)).await,
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
                let InUse { connection, condition, access } = match self.in_use() {
                    Ok(in_use) => in_use,
                    Err(error) => return Box::pin(ready(Err(error))),
                };
                condition.begin(Effect::NONE);
                Box::pin(async move {
                    let described = match access.end_cut_short(connection, condition).await {
                        Ok(()) => access.wait.watch(connection.describe(sql)).await,
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
    /// After prepared statements were discarded, or the transaction of a query that was cut short was rolled back.
    AfterRepair(Repair<DB>),
    /// In a transaction of its own, after a repair where one is needed.
    InTransaction {
        /// The session is reset before the transaction ends.
        resets: bool,
        repair: Option<Repair<DB>>,
    },
}

impl<DB: Backend> Way<DB> {
    fn of(
        query: &Parts<DB>,
        effect: Effect,
        access: &Access<'_, DB>,
        in_transaction: bool,
        condition: &mut Condition,
    ) -> Self {
        if access.is_behind_pgbouncer() {
            let resets = access.resets() && effect.leaves == Leaves::State && effect.transaction == Bounds::Neither;
            let repair: Option<Repair<DB>> = condition.take_own_transaction().then_some(reset::roll_back::<DB>);
            let own_transaction = !in_transaction && (resets || query.is_prepared());
            if own_transaction || repair.is_some() {
                condition.begin_own_transaction();
            }
            return match repair {
                _ if own_transaction => Self::InTransaction { resets, repair },
                Some(repair) => Self::AfterRepair(repair),
                None => Self::Straight,
            };
        }
        if DB::FORGETS && condition.take_stale() { Self::AfterRepair(DB::forget) } else { Self::Straight }
    }
}

impl Effect {
    /// The effect of the query when it goes this way.
    fn by<DB: Database>(self, way: &Way<DB>) -> Self {
        match way {
            Way::InTransaction { resets: true, .. } => Self { leaves: Leaves::Nothing, ..self },
            Way::InTransaction { resets: false, .. } | Way::Straight | Way::AfterRepair(_) => self,
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

/// A query's rows. The operation is complete when they have ended.
struct Watched<'e, T> {
    inner: BoxStream<'e, sqlx::Result<T>>,
    condition: &'e mut Condition,
    effect: Effect,
    wait: &'e Wait,
}

impl<T> Stream for Watched<'_, T> {
    type Item = sqlx::Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let polled = task::ready!(this.wait.poll(cx, |cx| this.inner.as_mut().poll_next(cx)));
        let item = polled.unwrap_or_else(|lost| Some(Err(lost.into())));
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => this.condition.fail(error),
            None => this.condition.complete(this.effect),
        }
        Poll::Ready(item)
    }
}

impl<T> Drop for Watched<'_, T> {
    fn drop(&mut self) {
        self.wait.end();
    }
}

/// The parts of a query, taken apart to read its text.
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

    /// Whether sqlx prepares the query before running it.
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
