//! Poolgate's own pool: all figures are known, and it can be cleaned up.

use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use poolgate_pool::{ConnectHistory, Counts, Drained, LeaseInfo, Observer, Pool};
use poolgate_types::Backend;

use super::{BoxError, Dedicated, DedicatedConnection, Figures, SupportedDatabase, Upkeep, WatchedPool};

impl<DB: SupportedDatabase> WatchedPool for Pool<DB> {
    fn backend(&self) -> Option<Backend> {
        DB::BACKEND
    }

    fn figures(&self) -> Figures {
        self.counts().into()
    }

    fn connect_history(&self) -> ConnectHistory {
        Self::connect_history(self)
    }

    fn dedicated_connection(&self, timeout: Duration) -> BoxFuture<'_, Result<Box<dyn DedicatedConnection>, BoxError>> {
        Box::pin(async move { Ok(Dedicated::<DB>::boxed(Self::dedicated_connection(self, timeout).await?)) })
    }

    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(Self::drain(self, timeout))
    }

    fn observe(&self, observer: Arc<dyn Observer>) -> bool {
        Self::observe(self, observer)
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

    fn reclaim(&self, lease: u64) -> bool {
        Self::reclaim(self, lease)
    }

    fn lose(&self, lease: u64) -> bool {
        Self::lose(self, lease)
    }

    fn dispose(&self) -> u32 {
        Self::dispose(self)
    }

    fn resize(&self, size: u32, max_overflow: u32) -> bool {
        Self::resize(self, size, max_overflow).is_ok()
    }

    fn set_min_connections(&self, count: u32) {
        Self::set_min_connections(self, count);
    }
}
