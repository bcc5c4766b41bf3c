//! The browser's side as WebAssembly: the decisions of the npm package `@poolgate/client`, whose README and `index.d.ts`
//! say how to use it.
//!
//! [`Throttle`] is [`poolgate_throttle`] for JavaScript: it decides when a request starts, waits or is rejected, and keeps the
//! limits that other limiters than the gate set for single routes. It has no clock and no I/O and calls no JavaScript. The
//! scripts in `js/` carry the decisions out: they call the host's `fetch`, listen, wait, read and write. `js/engine/engine.js`
//! is the only one that calls the module.
//!
//! # Why only numbers cross
//!
//! A call of `fetch`, its promise, its signal and its headers are JavaScript objects. Handling them in Rust needs glue code
//! and crosses twice: with requests, streams and options in Rust a page loaded twice as much, and a call took twice as long.
//! Numbers need no glue.
//!
//! No code path panics on what an app or a server sends. If the module fails anyway, requests pass.

mod codes;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod contract;
mod table;
mod throttle;
mod time;

pub use self::throttle::Throttle;

/// Smaller than the standard library's: a page loads 2 KB less (brotli).
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
