//! A connection in use.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use sqlx::{Acquire, Connection, Database};
use tokio::time::timeout;

use crate::condition::Condition;
use crate::config::Reset;
use crate::hooks::ConnectionTimes;
use crate::observer::CloseReason;
use crate::pool::Shared;
use crate::revoked::Revoked;
use crate::state::{Issued, Pooled, Verdict};
use crate::statement::{Effect, Leaves};

/// A connection in use; dropping it gives it back, anywhere and without waiting.
///
/// Run queries on `&mut lease`: then the lease sees each of them end, and a connection whose work is done goes straight
/// to the next user. A lease also dereferences to the sqlx connection, for what sqlx accepts nothing else for. What
/// happens there is not seen, so the connection is checked in the background before anyone gets it: that costs a
/// round trip, not the caller's time.
pub struct Lease<DB: Database> {
    shared: Arc<Shared<DB>>,
    /// `None` only while it is being dropped.
    pooled: Option<Box<Pooled<DB::Connection>>>,
    condition: Condition,
    id: u64,
    since: Instant,
    place: &'static Location<'static>,
    /// A caller has it; before that its return is nobody's use.
    accepted: bool,
}

impl<DB: Database> Lease<DB> {
    /// The lease's number, as in [`LeaseInfo::id`](crate::LeaseInfo::id).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How long it has been held.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The line that acquired it.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }

    /// Has the connection closed instead of reused when the lease is dropped: its session state is unfit for others.
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
        let Issued { lease: id, since, place, pooled } = issued;
        let condition = Condition::new(pooled.renewed);
        let pooled = Some(pooled);
        Self { shared, pooled, condition, id, since, place, accepted: false }
    }

    /// The caller has it now.
    pub(crate) fn accept(&mut self) {
        self.accepted = true;
    }

    /// Takes a lease apart that nobody has used.
    pub(crate) fn into_parts(mut self) -> Option<(u64, Box<Pooled<DB::Connection>>)> {
        self.pooled.take().map(|pooled| (self.id, pooled))
    }

    pub(crate) fn discard_as(&mut self, reason: CloseReason) {
        self.condition.discard(reason);
    }

    /// Takes [`discard_as`](Self::discard_as) back.
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

    /// Whether somebody has had the connection before.
    pub(crate) fn is_used(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| pooled.used)
    }

    /// The connection and its times, for a hook.
    pub(crate) fn judged(&mut self) -> (&mut DB::Connection, ConnectionTimes) {
        let pooled = self.pooled.as_mut().expect("a lease has its connection until it is dropped");
        let times = pooled.times(self.since);
        (&mut pooled.connection, times)
    }

    /// What an operation needs, unless the lease was revoked.
    pub(crate) fn in_use(&mut self) -> sqlx::Result<InUse<'_, DB, DB::Connection>> {
        let parts = self.parts();
        parts.title.check()?;
        Ok(parts)
    }

    fn parts(&mut self) -> InUse<'_, DB, DB::Connection> {
        let Self { pooled, condition, shared, id, .. } = self;
        let pooled = pooled.as_mut().expect("a lease has its connection until it is dropped");
        InUse { connection: &mut pooled.connection, condition, title: Title { shared, lease: *id } }
    }
}

/// A lease taken apart for an operation: the connection, where to note what becomes of it, and by what right.
pub(crate) struct InUse<'l, DB: Database, C> {
    pub(crate) connection: &'l mut C,
    pub(crate) condition: &'l mut Condition,
    pub(crate) title: Title<'l, DB>,
}

/// The right to use a connection, as long as it is not revoked.
pub(crate) struct Title<'l, DB: Database> {
    shared: &'l Shared<DB>,
    lease: u64,
}

impl<DB: Database> Title<'_, DB> {
    pub(crate) fn check(&self) -> sqlx::Result<()> {
        if self.shared.is_revoked(self.lease) { Err(Revoked.into()) } else { Ok(()) }
    }

    /// Whether what statements leave behind is taken away.
    pub(crate) fn resets(&self) -> bool {
        self.shared.config.reset != Reset::Never
    }

    /// Ends the transaction of a query that was cut short, if one may be open: the operation that begins is no part of it.
    pub(crate) async fn settle(&self, connection: &mut DB::Connection, condition: &mut Condition) -> sqlx::Result<()> {
        if !condition.take_alone() {
            return Ok(());
        }
        // Still so if this is cut short as well.
        condition.begin_alone();
        (self.shared.care.roll_back)(connection).await
    }

    /// Whether a PgBouncer may give the session to others between two transactions.
    pub(crate) fn is_bounced(&self) -> bool {
        self.shared.is_bounced()
    }
}

impl<DB: Database> Clone for Title<'_, DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Database> Copy for Title<'_, DB> {}

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

/// For what is generic over [`Acquire`], such as migrations; what it does is not seen.
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
        let Self { id, place, condition, .. } = self;
        f.debug_struct("Lease")
            .field("id", id)
            .field("place", &format_args!("{place}"))
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
        let connection = &pooled.connection;
        let verdict = match self.condition.verdict() {
            Verdict::Clean | Verdict::Doubtful
                if self.condition.leaves() == Leaves::Lasting && self.shared.resets() =>
            {
                Verdict::Unusable(CloseReason::Dirty)
            }
            // What sqlx itself knows to be left over, and a user that came to grief in the middle of something.
            Verdict::Clean
                if connection.is_in_transaction() || connection.should_flush() || std::thread::panicking() =>
            {
                Verdict::Doubtful
            }
            Verdict::Clean if pooled.upkeep.is_due() || self.shared.hooks.after_release.is_some() => Verdict::Doubtful,
            verdict => verdict,
        };
        self.shared.check_in(self.id, pooled, verdict, now);
        if self.accepted {
            self.shared.observer.released(now.saturating_duration_since(self.since));
            self.shared.observer.worked(self.condition.work());
        }
    }
}
