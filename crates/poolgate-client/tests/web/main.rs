//! The client in a real browser, with a host whose answers each test gives.
//!
//! Run with `wasm-pack test --headless --chrome crates/poolgate-client`.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod abort;
mod news;
mod requests;
mod status;
mod stream;
mod support;
mod turned_away;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
