//! Poolgate's own pool: everything is known, and it can be cleaned up.

use std::time::Duration;

use futures_core::future::BoxFuture;
use poolgate_pool::{Contact, Counts, Drained, LeaseInfo, Pool};
use poolgate_types::Backend;

use super::{Apart, ApartConnection, BoxError, Figures, SupportedDatabase, Upkeep, WatchedPool};

impl<DB: SupportedDatabase> WatchedPool for Pool<DB> {
    fn backend(&self) -> Option<Backend> {
        DB::BACKEND
    }

    fn figures(&self) -> Figures {
        self.counts().into()
    }

    fn contact(&self) -> Contact {
        Self::contact(self)
    }

    fn connect_apart(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn ApartConnection>, BoxError>> {
        Box::pin(async move { Ok(Apart::<DB>::boxed(Self::connect_apart(self, timeout).await?)) })
    }

    fn drain(&self, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(Self::drain(self, deadline))
    }

    fn upkeep(&self) -> Option<&dyn Upkeep> {
        Some(self)
    }
}

impl<DB: SupportedDatabase> Upkeep for Pool<DB> {
    fn counts(&self) -> Counts {
        Self::counts(self)
    }

    fn leases(&self) -> Vec<LeaseInfo> {
        Self::leases(self)
    }

    fn close_surplus_idle(&self) -> u32 {
        Self::close_surplus_idle(self)
    }

    fn revoke(&self, lease: u64) -> bool {
        Self::revoke(self, lease)
    }

    fn write_off(&self, lease: u64) -> bool {
        Self::write_off(self, lease)
    }

    fn dispose(&self) -> u32 {
        Self::dispose(self)
    }

    fn resize(&self, size: u32, max_overflow: u32) -> bool {
        Self::resize(self, size, max_overflow).is_ok()
    }

    fn keep_open(&self, count: u32) {
        Self::keep_open(self, count);
    }
}
