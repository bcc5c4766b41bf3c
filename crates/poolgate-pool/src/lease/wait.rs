//! How long the holder of a connection has waited for an answer, and the end of a wait that nothing else would end.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// The connection is dead: the server has nothing to answer, and the holder of the lease waited for its answer. Drop the
/// lease and acquire another. The error is the cause of an [`sqlx::Error::Io`] of kind `ConnectionReset`;
/// [`Lost::caused`] recognizes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost: the server waits for this client, which waits for its answer")]
#[non_exhaustive]
pub struct Lost;

impl Lost {
    /// Whether a lost connection caused this error.
    #[must_use]
    pub fn caused(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::Io(error) if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Self>))
    }
}

impl From<Lost> for sqlx::Error {
    fn from(lost: Lost) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::ConnectionReset, lost))
    }
}

/// The wait on one connection. Its holder and the pool's books share it.
#[derive(Debug)]
pub(crate) struct Wait {
    opened: Instant,
    /// Microseconds from then until the wait began; [`NONE`] while nobody waits.
    since: AtomicU64,
    lost: AtomicBool,
    holder: AtomicWaker,
}

const NONE: u64 = u64::MAX;

impl Wait {
    pub(crate) fn new(opened: Instant) -> Self {
        Self { opened, since: AtomicU64::new(NONE), lost: AtomicBool::new(false), holder: AtomicWaker::new() }
    }

    /// How long the holder has waited without an answer, if it waits.
    pub(crate) fn lasts(&self, now: Instant) -> Option<Duration> {
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since != NONE)?;
        Some(now.saturating_duration_since(self.opened).saturating_sub(Duration::from_micros(since)))
    }

    /// Ends the wait, and every later one.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.holder.wake();
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Runs an operation until it ends or the connection is lost.
    pub(super) async fn watch<T>(&self, operation: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let mut operation = pin!(operation);
        let ends = Ends(self);
        poll_fn(|context| ends.0.poll(context, |context| operation.as_mut().poll(context)).map(|done| done?)).await
    }

    /// Polls an operation. What is ready is an answer; a reader that takes its time does not wait.
    pub(super) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Lost>> {
        if let Poll::Ready(answer) = operation(context) {
            self.end();
            return Poll::Ready(Ok(answer));
        }
        self.begin();
        self.holder.register(context.waker());
        if self.is_lost() { Poll::Ready(Err(Lost)) } else { Poll::Pending }
    }

    /// The holder no longer waits.
    pub(super) fn end(&self) {
        self.since.store(NONE, Ordering::Relaxed);
    }

    fn begin(&self) {
        if self.since.load(Ordering::Relaxed) == NONE {
            let since = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(NONE - 1);
            self.since.store(since, Ordering::Relaxed);
        }
    }
}

/// Ends the wait when dropped: a holder that gives its operation up does not wait for it.
struct Ends<'w>(&'w Wait);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_waits_is_known_until_the_answer() {
        let opened = Instant::now();
        let wait = Wait::new(opened);
        assert_eq!(wait.lasts(opened), None);
        let mut operation = Box::pin(wait.watch(pending::<sqlx::Result<()>>()));
        assert!(operation.as_mut().now_or_never().is_none());
        let lasts = wait.lasts(Instant::now() + Duration::from_secs(5)).expect("it waits");
        assert!((5.0..6.0).contains(&lasts.as_secs_f64()), "{lasts:?}");
        drop(operation);
        assert_eq!(wait.lasts(Instant::now()), None, "given up");
        assert!(wait.watch(ready(Ok(()))).now_or_never().expect("ready").is_ok());
    }

    #[test]
    fn a_lost_connection_ends_the_wait_and_every_later_one() {
        let wait = Wait::new(Instant::now());
        let mut operation = Box::pin(wait.watch(pending::<sqlx::Result<()>>()));
        assert!(operation.as_mut().now_or_never().is_none());
        wait.lose();
        let error = operation.now_or_never().expect("ended").expect_err("no answer came");
        assert!(Lost::caused(&error), "{error}");
        assert!(wait.watch(pending::<sqlx::Result<()>>()).now_or_never().is_some());
    }
}
