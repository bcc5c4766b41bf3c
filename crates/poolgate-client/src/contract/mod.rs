//! Writes the contract for JavaScript from the Rust types: constants, and declarations of the wire's documents.
//!
//! The files are checked in. `cargo xtask contract` runs this test with [`WRITE`] set, which writes them; without it the test
//! fails if a file is not current.

mod declarations;
mod scripts;

use std::{env, fs, path::Path};

/// Environment variable: write the files instead of comparing them.
const WRITE: &str = "POOLGATE_WRITE_CONTRACT";

#[test]
fn the_contract_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = [
        ("crates/poolgate-client/js/contract.js", scripts::client()),
        ("crates/poolgate-client/js/wire.d.ts", declarations::client()),
        ("www/js/contract.js", scripts::page()),
        ("www/types/wire.d.ts", declarations::page()),
    ];
    for (path, text) in files {
        if env::var_os(WRITE).is_some() {
            fs::write(root.join(path), text).expect("the file can be written");
        } else {
            let found = fs::read_to_string(root.join(path)).expect("the file can be read");
            assert!(found == text, "{path} is not current: run `cargo xtask contract`");
        }
    }
}

/// The head of each file.
fn head(about: &str) -> String {
    format!("// {about}\n// Written by `cargo xtask contract` from the Rust types. Do not edit.\n")
}
