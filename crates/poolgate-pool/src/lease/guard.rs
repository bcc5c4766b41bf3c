//! The lease itself: holds a connection, and returns it when dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use sqlx::{Acquire, Connection, Database};
use tokio::time::timeout;

use super::condition::Condition;
use super::revoked::Revoked;
use super::wait::{Lost, Wait};
use crate::config::Reset;
use crate::hooks::ConnectionMetadata;
use crate::observer::CloseReason;
use crate::purpose::Caller;
use crate::shared::Shared;
use crate::state::{Issued, Pooled, Verdict};
use crate::statement::{Effect, Leaves};
use crate::tasks;

/// A connection in use. Dropping it returns the connection to the pool; that never waits and works outside a runtime.
///
/// Run queries on `&mut lease`: the lease then sees each of them end, and a connection whose work is done goes straight
/// to the next user. A lease also dereferences to the sqlx connection, for functions that accept nothing else. The lease
/// does not see what happens there, so the connection is checked in the background before the next user gets it: that
/// costs a round trip, but none of the caller's time.
pub struct Lease<DB: Database> {
    shared: Arc<Shared<DB>>,
    /// `None` only while the lease is being dropped.
    pooled: Option<Box<Pooled<DB::Connection>>>,
    condition: Condition,
    id: u64,
    since: Instant,
    location: &'static Location<'static>,
    /// A caller has it. Before that its return does not count as a use.
    accepted: bool,
}

impl<DB: Database> Lease<DB> {
    /// The lease's number, as in [`LeaseInfo::id`](crate::LeaseInfo::id).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Time since it was acquired.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The line of code that acquired it.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Closes the connection when the lease is dropped, instead of reusing it. For a session that must not be shared.
    pub fn discard(&mut self) {
        self.discard_as(CloseReason::Broken);
    }
}

/// Why an idle connection was found dead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PingError {
    #[error(transparent)]
    Refused(#[from] sqlx::Error),
    #[error("no answer in time")]
    Silence,
}

impl<DB: Database> Lease<DB> {
    pub(crate) fn new(shared: Arc<Shared<DB>>, issued: Issued<DB::Connection>) -> Self {
        let Issued { lease: id, since, location, pooled } = issued;
        let condition = Condition::new(pooled.renewed);
        let pooled = Some(pooled);
        Self { shared, pooled, condition, id, since, location, accepted: false }
    }

    /// The caller has it from now on.
    pub(crate) fn accept(&mut self) {
        self.accepted = true;
    }

    pub(crate) fn discard_as(&mut self, reason: CloseReason) {
        self.condition.discard(reason);
    }

    /// Undoes [`discard_as`](Self::discard_as).
    pub(crate) fn keep(&mut self) {
        self.condition.keep();
    }

    pub(crate) async fn ping(&mut self, limit: Duration) -> Result<(), PingError> {
        let InUse { connection, condition, .. } = self.parts();
        condition.begin(Effect::NONE);
        match timeout(limit, connection.ping()).await {
            Ok(Ok(())) => {
                condition.complete(Effect::NONE);
                self.shared.state().backoff().answered(Instant::now());
                Ok(())
            }
            Ok(Err(error)) => Err(PingError::Refused(error)),
            Err(_elapsed) => Err(PingError::Silence),
        }
    }

    /// Whether the connection has had a user before.
    pub(crate) fn is_used(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| pooled.used)
    }

    /// What a hook is given.
    pub(crate) fn for_hook(&mut self) -> (&mut DB::Connection, ConnectionMetadata) {
        let pooled = self.pooled.as_mut().expect("a lease has its connection until it is dropped");
        let metadata = pooled.metadata(self.since);
        (&mut pooled.connection, metadata)
    }

    /// What an operation needs, unless the lease was revoked.
    pub(super) fn in_use(&mut self) -> sqlx::Result<InUse<'_, DB, DB::Connection>> {
        let parts = self.parts();
        parts.access.check()?;
        Ok(parts)
    }

    fn parts(&mut self) -> InUse<'_, DB, DB::Connection> {
        let Self { pooled, condition, shared, id, .. } = self;
        let Pooled { connection, wait, .. } =
            &mut **pooled.as_mut().expect("a lease has its connection until it is dropped");
        InUse { connection, condition, access: Access { shared, lease: *id, wait } }
    }
}

/// The parts of a lease that an operation needs.
pub(super) struct InUse<'l, DB: Database, C> {
    pub(super) connection: &'l mut C,
    /// Where to note how the operation ends.
    pub(super) condition: &'l mut Condition,
    pub(super) access: Access<'l, DB>,
}

/// The right to use a connection, until the lease is revoked.
pub(super) struct Access<'l, DB: Database> {
    shared: &'l Shared<DB>,
    lease: u64,
    pub(super) wait: &'l Wait,
}

impl<DB: Database> Access<'_, DB> {
    pub(super) fn check(&self) -> sqlx::Result<()> {
        if self.wait.is_lost() {
            return Err(Lost.into());
        }
        if self.shared.is_revoked(self.lease) { Err(Revoked.into()) } else { Ok(()) }
    }

    /// Whether changes to the session are undone for the next user.
    pub(super) fn resets(&self) -> bool {
        self.shared.config.reset != Reset::Never
    }

    /// Rolls back the transaction of a query that was cut short, if one may be open: the next operation is not part of
    /// it.
    pub(super) async fn end_cut_short(
        &self,
        connection: &mut DB::Connection,
        condition: &mut Condition,
    ) -> sqlx::Result<()> {
        if !condition.take_own_transaction() {
            return Ok(());
        }
        // The mark stays if this is cut short as well.
        condition.begin_own_transaction();
        self.wait.watch((self.shared.repairs.roll_back)(connection)).await
    }

    /// Whether a PgBouncer may give the session to another client between two transactions.
    pub(super) fn is_behind_pgbouncer(&self) -> bool {
        self.shared.is_behind_pgbouncer()
    }
}

impl<DB: Database> Clone for Access<'_, DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Database> Copy for Access<'_, DB> {}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        let pooled = self.pooled.as_ref().expect("a lease has its connection until it is dropped");
        &pooled.connection
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let InUse { connection, condition, .. } = self.parts();
        condition.lend();
        connection
    }
}

impl<DB: Database> AsMut<DB::Connection> for Lease<DB> {
    fn as_mut(&mut self) -> &mut DB::Connection {
        self
    }
}

/// For functions that are generic over [`Acquire`], such as migrations. The lease does not see what they do.
impl<'c, DB: Database> Acquire<'c> for &'c mut Lease<DB> {
    type Database = DB;
    type Connection = &'c mut DB::Connection;

    fn acquire(self) -> BoxFuture<'c, sqlx::Result<Self::Connection>> {
        Box::pin(std::future::ready(Ok(&mut **self)))
    }

    fn begin(self) -> BoxFuture<'c, sqlx::Result<sqlx::Transaction<'c, DB>>> {
        Box::pin(Connection::begin(&mut **self))
    }
}

impl<DB: Database> fmt::Debug for Lease<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, location, condition, .. } = self;
        f.debug_struct("Lease")
            .field("id", id)
            .field("location", &format_args!("{location}"))
            .field("condition", condition)
            .finish_non_exhaustive()
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        let Some(mut pooled) = self.pooled.take() else {
            return;
        };
        let now = Instant::now();
        pooled.upkeep = self.shared.upkeep(self.condition.upkeep());
        pooled.renewed = self.condition.renewed();
        pooled.used |= self.accepted;
        let is_lost = pooled.wait.is_lost();
        let connection = &pooled.connection;
        let verdict = match self.condition.verdict() {
            Verdict::Clean | Verdict::Doubtful
                if self.condition.leaves() == Leaves::Lasting && self.shared.resets() =>
            {
                Verdict::Unusable(CloseReason::Dirty)
            }
            // sqlx knows of something unfinished, or the user panicked in the middle of it.
            Verdict::Clean
                if connection.is_in_transaction() || connection.should_flush() || std::thread::panicking() =>
            {
                Verdict::Doubtful
            }
            Verdict::Clean if pooled.upkeep.is_due() || self.shared.hooks.after_release.is_some() => Verdict::Doubtful,
            verdict => verdict,
        };
        let caller = tasks::check_in(&self.shared, self.id, pooled, verdict, now);
        // What it waited for in the end is no use.
        if self.accepted && !is_lost {
            let (use_time, work) = (now.saturating_duration_since(self.since), self.condition.work());
            let purpose = caller.as_ref().and_then(Caller::purpose);
            self.shared.observers.tell(|observer| {
                observer.released(use_time, purpose);
                observer.worked(work);
            });
        }
    }
}
