//! The browser's side as WebAssembly: the decisions of the npm package `@poolgate/client`, whose README and `index.d.ts`
//! say how to use it.
//!
//! Which request starts when is up to [`poolgate_throttle`], which is exported here as it is: it has neither clock nor I/O,
//! calls nothing of JavaScript, and only numbers cross the border. The shell in `js/` does what it is told: it calls the
//! host's `fetch`, listens, waits, reads and writes. `js/core.js` is where the two meet.
//!
//! [`Throttle`] submits, queues, starts and rejects requests, and says what is in force. It also knows the limits of single
//! routes that other limiters than the gate tell about.
//!
//! # Why it is cut here
//!
//! A call of `fetch`, its promise, its signal and its headers are objects of JavaScript. Whatever the module did with them
//! would cross the border in both directions, bring glue with it, and be larger and slower than the same in JavaScript:
//! with requests, streams and options in Rust a page loaded twice as much. Numbers need no glue.
//!
//! No code path panics on what an app or a server sends. The shell lets requests pass should the module fail anyway.

mod codes;
mod table;
mod throttle;
mod time;

pub use self::throttle::Throttle;

/// Smaller than the standard library's: 2 KB less for every page to load (brotli).
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
