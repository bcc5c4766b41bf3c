//! Event streams and WebSockets: bounded in number, because they hold no permit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// Places for them.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Arc<Semaphore>);

/// Held while one is open.
pub(crate) type StreamPlace = OwnedSemaphorePermit;

impl Streams {
    pub(crate) fn new(most: u32) -> Self {
        Self(Arc::new(Semaphore::new(most as usize)))
    }

    pub(crate) fn open(&self) -> Result<StreamPlace, Failure> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Failure::NoStream)
    }
}
