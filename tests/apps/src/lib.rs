//! Apps in other languages, started as their own guides have it, and plain users who press on whatever happens.

mod load;
mod uvicorn;

pub use load::{Outcome, load};
pub use uvicorn::Uvicorn;
