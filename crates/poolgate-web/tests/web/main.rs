//! The client in a real browser, against a `fetch` whose answers the test gives.
//!
//! Run with `wasm-pack test --headless --chrome crates/poolgate-web`.

#![cfg(target_arch = "wasm32")]

mod failures;
mod news;
mod page;
mod requests;
mod scripts;
mod support;
mod tables;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
