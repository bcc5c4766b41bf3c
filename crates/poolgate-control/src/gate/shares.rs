//! How many permits each caller has, and what its share of them is.

use std::{collections::HashMap, hash::BuildHasherDefault};

use super::recent::Spread;

/// A share is at least one in this many of the permits, however many callers there are.
const LEAST_SHARE: u32 = 10;

/// The callers that have requests in flight or queued. There are never more of them than permits and places in the
/// queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    present: HashMap<u64, Present, BuildHasherDefault<Spread>>,
    /// Clients that all present callers stand for together.
    clients: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Present {
    requests: u32,
    /// Clients that the caller stood for when its first request came.
    clients: u32,
}

impl Shares {
    /// A caller that stands for this many clients got a permit or a place in the queue.
    pub(super) fn enter(&mut self, caller: u64, clients: u32) {
        let present = self.present.entry(caller).or_insert_with(|| {
            let clients = clients.max(1);
            self.clients += u64::from(clients);
            Present { requests: 0, clients }
        });
        present.requests += 1;
    }

    /// One of the caller's permits or places is free again.
    pub(super) fn leave(&mut self, caller: u64) {
        let Some(present) = self.present.get_mut(&caller) else { return };
        present.requests -= 1;
        if present.requests == 0 {
            self.clients -= u64::from(present.clients);
            self.present.remove(&caller);
        }
    }

    /// Whether other callers have requests in flight or queued.
    pub(super) fn has_others(&self, caller: u64) -> bool {
        self.present.len() > usize::from(self.present.contains_key(&caller))
    }

    /// Whether the caller has its share of all permits, counting its places in the queue. The share is in proportion to
    /// the clients that it stands for, and at least a tenth.
    pub(super) fn has_its_share(&self, caller: u64, permits: u32) -> bool {
        let Some(Present { requests, clients }) = self.present.get(&caller) else { return false };
        let proportional = (u64::from(permits) * u64::from(*clients)).div_ceil(self.clients.max(1));
        u64::from(*requests) >= proportional.max(permits.div_ceil(LEAST_SHARE).into())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.clients == 0
    }
}
