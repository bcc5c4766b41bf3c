//! Who may depend on whom (ARCHITECTURE.md): read from `cargo metadata`, dev-dependencies aside.
//!
//! The arrows point to the left: `types` ← `control`, `throttle`; the pool knows none of them; the server knows all four
//! (its demo runs native clients on the throttle engine); the client knows types and throttle; the simulator knows the
//! pure ones.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate of ours and which others of ours it may depend on.
const OURS: [(&str, &[&str]); 7] = [
    ("poolgate-types", &[]),
    ("poolgate-control", &["poolgate-types"]),
    ("poolgate-throttle", &["poolgate-types"]),
    ("poolgate-pool", &[]),
    ("poolgate-server", &["poolgate-types", "poolgate-control", "poolgate-throttle", "poolgate-pool"]),
    ("poolgate-client", &["poolgate-types", "poolgate-throttle"]),
    ("poolgate-sim", &["poolgate-types", "poolgate-control", "poolgate-throttle"]),
];

/// What the pure crates may use besides types: nothing that has a clock, a thread or a socket.
const PURE: [(&str, &[&str]); 3] =
    [("poolgate-types", &["serde", "utoipa"]), ("poolgate-control", &["serde"]), ("poolgate-throttle", &["serde"])];

/// Libraries that only some crates may name, and those.
const RESERVED: [(&str, &[&str]); 7] = [
    ("sqlx", &["poolgate-pool", "poolgate-server"]),
    ("axum", &["poolgate-server"]),
    ("wasm-bindgen", &["poolgate-client"]),
    ("wasm-bindgen-futures", &["poolgate-client"]),
    ("js-sys", &["poolgate-client"]),
    ("web-sys", &["poolgate-client"]),
    ("wasm-bindgen-cli-support", &["xtask"]),
];

type Manifests = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_dependency_rule_holds() {
    let broken = violations(&workspace());
    assert!(broken.is_empty(), "the dependency rule is broken:\n{}", broken.join("\n"));
}

#[test]
fn every_crate_of_ours_has_a_rule() {
    let ruled: BTreeSet<_> = OURS.iter().map(|(package, _)| (*package).to_owned()).collect();
    let mut found: BTreeSet<_> = workspace().into_keys().filter(|name| name.starts_with("poolgate-")).collect();
    // Packages of bench/ and tests/ may depend on anything, and only each other may depend on them.
    found.retain(|name| !is_for_tests(name));
    assert_eq!(found, ruled);
}

#[test]
fn a_violation_is_seen() {
    let manifest = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut broken = workspace();
    broken.insert("poolgate-throttle".into(), manifest(&["poolgate-types", "tokio"]));
    broken.insert("poolgate-client".into(), manifest(&["poolgate-pool", "wasm-bindgen"]));
    broken.insert("poolgate-control".into(), manifest(&["sqlx", "poolgate-e2e"]));
    let seen = violations(&broken).join("\n");
    for expected in [
        "poolgate-throttle is pure and may not use tokio",
        "poolgate-client may not depend on poolgate-pool",
        "sqlx is not for poolgate-control",
        "poolgate-control may not depend on poolgate-e2e",
    ] {
        assert!(seen.contains(expected), "{expected} is missing in:\n{seen}");
    }
}

fn violations(workspace: &Manifests) -> Vec<String> {
    let mut broken = Vec::new();
    for (package, allowed) in OURS {
        let ours = workspace[package].iter().filter(|name| name.starts_with("poolgate-"));
        for other in ours.filter(|name| !allowed.contains(&name.as_str())) {
            broken.push(format!("{package} may not depend on {other}"));
        }
    }
    for (package, allowed) in PURE {
        let others = workspace[package].iter().filter(|name| !name.starts_with("poolgate-"));
        for other in others.filter(|name| !allowed.contains(&name.as_str())) {
            broken.push(format!("{package} is pure and may not use {other}"));
        }
    }
    for (library, allowed) in RESERVED {
        let users = workspace.iter().filter(|(_, uses)| uses.contains(library)).map(|(package, _)| package);
        for user in users.filter(|name| !allowed.contains(&name.as_str()) && !is_for_tests(name)) {
            broken.push(format!("{library} is not for {user}"));
        }
    }
    broken
}

fn is_for_tests(package: &str) -> bool {
    ["poolgate-e2e", "poolgate-soak"].contains(&package)
        || package.starts_with("poolgate-bench-")
        || package.starts_with("poolgate-test-")
}

/// Each package of the workspace and what it depends on when it is built for use.
fn workspace() -> Manifests {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("it lists packages");
    let name = |value: &Value| value["name"].as_str().expect("everything has a name").to_owned();
    let used = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("it lists dependencies");
        dependencies.iter().filter(|dependency| dependency["kind"] != "dev").map(name).collect()
    };
    packages.iter().map(|package| (name(package), used(package))).collect()
}
