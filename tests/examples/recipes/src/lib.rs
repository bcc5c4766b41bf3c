//! The recipes of docs/rust-front-ends.md. A test holds their text against the document's.

#![cfg(target_arch = "wasm32")]

pub mod any;
pub mod dioxus;
pub mod yew;
