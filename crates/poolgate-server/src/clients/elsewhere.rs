//! The clients of the other servers in front of the same database, and what they are told of the clients here.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use poolgate_control::cluster::{Audience, Crowds, Elsewhere, Sketch};

use super::{Registry, poller::Poller};
use crate::address::AddressKey;

impl Registry {
    /// Remembers the clients of the other servers.
    pub(crate) fn learn_elsewhere(&self, elsewhere: Arc<Elsewhere>) {
        if !Arc::ptr_eq(&self.0.elsewhere.load(), &elsewhere) {
            self.0.elsewhere.store(elsewhere);
        }
    }

    /// The clients here, for the other servers.
    pub(crate) fn audience(&self, key: u32) -> Audience {
        let state = self.lock();
        let polling = || state.polling().filter(|(_, poller)| poller.is_recent());
        let mut pollers = Sketch::default();
        polling().for_each(|(address, _)| pollers.add(hash(key, address)));
        let streaming = state.at_address.iter().map(|(address, there)| {
            (address, there.clients.saturating_add(state.pollers.get(address).map_or(0, Poller::clients)))
        });
        let crowds = streaming.chain(polling().map(|(address, poller)| (address, poller.clients())));
        let crowds = Crowds::of(crowds.map(|(address, clients)| (hash(key, address) as u32, clients)));
        Audience { pollers, crowds }
    }

    /// The clients at this address in the whole cluster, if this many are here.
    pub(super) fn everywhere(&self, address: AddressKey, here: u32) -> u32 {
        let elsewhere = self.0.elsewhere.load();
        if elsewhere.replicas == 0 {
            return here;
        }
        elsewhere.clients(elsewhere.key.map_or(0, |key| hash(key, &address) as u32), here)
    }
}

/// The same on all servers of one version.
fn hash(key: u32, address: &AddressKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, address).hash(&mut hasher);
    hasher.finish()
}
