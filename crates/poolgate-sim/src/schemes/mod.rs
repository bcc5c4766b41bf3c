//! Poolgate, the absence of any control, and the parts that both and other schemes are made of.
//!
//! Rivals are schemes of another crate (`bench/rivals`), which take what they share with Poolgate from here.

mod fifo;
mod no_control;
mod poolgate;
mod shared;
mod throttled;
mod unthrottled;

pub use fifo::Fifo;
pub use no_control::{NoControl, Silence};
pub use poolgate::{Document, Poolgate, PoolgateGate};
pub use shared::SharedDocument;
pub use throttled::Throttled;
pub use unthrottled::Unthrottled;
