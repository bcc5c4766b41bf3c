//! What the module exports, called by JavaScript in a real browser: every number arrives as the number that was meant.
//!
//! Run with `wasm-pack test --headless --chrome crates/poolgate-client`.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod header;
mod javascript;
mod routes;
mod throttle;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
