//! Event streams and WebSockets: bounded in number, because they hold no permit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// Places for them.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    most: u32,
}

/// Held while one is open.
pub(crate) type StreamPlace = OwnedSemaphorePermit;

impl Streams {
    pub(crate) fn new(most: u32) -> Self {
        Self { places: Arc::new(Semaphore::new(most as usize)), most }
    }

    pub(crate) fn open(&self) -> Result<StreamPlace, Failure> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Failure::NoStream)
    }

    /// How many may be open.
    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    /// How many are open.
    pub(crate) fn open_now(&self) -> u32 {
        self.most.saturating_sub(u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX))
    }
}
