//! Apps in other languages, started as their own guides have it, and plain users who never slow down.

mod load;
mod python;

pub use load::{Outcome, load};
pub use python::PythonApp;
