//! What all handles of one client share. It has no JavaScript values, so it is `Send + Sync`.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use poolgate_front::Front;
use poolgate_throttle::{Configured, InvalidConfig, News};
use poolgate_types::{ConfigVersion, ThrottlingConfig};

use crate::{Builder, Eta, State, Transport, base::Base, budget::Budget, host, watch::Watch};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) front: Front,
    pub(crate) base: Base,
    pub(crate) options: Builder,
    pub(crate) watch: Arc<Watch>,
    budget: Budget,
    /// Requests that wait for another attempt.
    naps: AtomicUsize,
    is_closed: AtomicBool,
    has_no_route: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The newest document; a header may have been newer.
    document: Option<ThrottlingConfig>,
    transport: Transport,
    told: Told,
}

/// What watchers were told last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    /// Changes of level, breaker and staleness.
    changes: u64,
    queued: usize,
    transport: Transport,
    document: Option<ConfigVersion>,
}

impl Core {
    pub(crate) fn new(base: Base, options: Builder) -> Self {
        let front = Front::new(options.settings, host::seed(), host::now);
        let budget = Budget::new(&base);
        Self {
            front,
            base,
            options,
            watch: Arc::default(),
            budget,
            naps: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            has_no_route: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// Whether a request to this address is throttled.
    pub(crate) fn covers(&self, address: &str) -> bool {
        match &self.options.throttles {
            // A blob is in memory.
            Some(counts) => address.starts_with("http") && counts(address),
            None => self.base.covers(address),
        }
    }

    pub(crate) fn state(&self) -> State {
        let state = self.front.state();
        let known = self.known();
        State {
            level: state.level,
            health: state.health,
            breaker: state.breaker,
            enforced: state.enforced,
            config: known.document.clone(),
            in_flight: state.in_flight,
            queued: state.queued + self.naps.load(Relaxed),
            oldest_wait: state.oldest_wait,
            eta: state.eta.map(|eta| Eta { earliest: eta.earliest, latest: eta.latest }),
            stale: state.stale,
            transport: known.transport,
            rate_per_second: state.rate_per_second,
        }
    }

    /// Takes in a config document.
    pub(crate) fn learn_document(&self, document: ThrottlingConfig) -> Result<(), InvalidConfig> {
        let learned = self.front.learn(&News::Config(document.clone()))?;
        let mut known = self.known();
        if learned == Configured::Applied || known.document.is_none() {
            known.document = Some(document);
        }
        Ok(())
    }

    pub(crate) fn document(&self) -> Option<ThrottlingConfig> {
        self.known().document.clone()
    }

    /// Tells watchers if something that they may show has changed.
    pub(crate) fn tell(&self, transport: Transport) {
        let has_changed = {
            let mut known = self.known();
            known.transport = transport;
            let told = Told {
                changes: self.front.changes(),
                queued: self.front.queued() + self.naps.load(Relaxed),
                transport,
                document: known.document.as_ref().map(ThrottlingConfig::at),
            };
            std::mem::replace(&mut known.told, told) != told
        };
        if has_changed {
            self.watch.tell();
        }
    }

    /// Rejects what waits; later requests pass.
    pub(crate) fn close(&self) {
        if !self.is_closed.swap(true, Relaxed) {
            self.front.hear(&News::Closed);
            self.known().transport = Transport::None;
            self.watch.end();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Stores the budget, at most once a second.
    pub(crate) fn save_if_due(&self) {
        if !self.is_closed() {
            self.budget.save_if_due(&self.front);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_arch = "wasm32")]
impl Core {
    /// Whether the server has said that it has no config.
    pub(crate) fn has_no_route(&self) -> bool {
        self.has_no_route.load(Relaxed)
    }

    /// The server has no config route: requests pass, and it is not asked again.
    pub(crate) fn learn_absence(&self) {
        self.has_no_route.store(true, Relaxed);
        self.front.hear(&News::NotFound);
    }

    /// Counts a request that waits for another attempt, until the guard is dropped.
    pub(crate) fn nap(&self) -> impl Drop {
        struct Nap<'a>(&'a Core);
        impl Drop for Nap<'_> {
            fn drop(&mut self) {
                self.0.naps.fetch_sub(1, Relaxed);
                self.0.front.notify();
            }
        }
        self.naps.fetch_add(1, Relaxed);
        self.front.notify();
        Nap(self)
    }

    /// Continues with what the page's last client has left.
    pub(crate) fn restore(&self) {
        self.budget.restore(&self.front);
    }

    /// The page is left.
    pub(crate) fn save(&self) {
        self.budget.save(&self.front);
    }
}
