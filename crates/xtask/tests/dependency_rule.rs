//! Checks which crate may depend on which (ARCHITECTURE.md), by `cargo metadata` without dev-dependencies.
//!
//! The arrows point to the left: `types` ← `control`, `throttle`; the pool depends on none of them. The server depends on
//! types, control and pool; the gateway on types, pool and server; front and client on types and throttle, native and web on
//! front; the simulator on the pure crates; the program on control, server, gateway and native.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate of ours and which others of ours it may depend on.
const OURS: [(&str, &[&str]); 13] = [
    ("poolgate-types", &[]),
    ("poolgate-control", &["poolgate-types"]),
    ("poolgate-throttle", &["poolgate-types"]),
    ("poolgate-pool", &[]),
    ("poolgate-cluster", &["poolgate-types", "poolgate-control", "poolgate-pool"]),
    ("poolgate-server", &["poolgate-types", "poolgate-control", "poolgate-pool"]),
    ("poolgate-gateway", &["poolgate-types", "poolgate-pool", "poolgate-server"]),
    ("poolgate-front", &["poolgate-types", "poolgate-throttle"]),
    ("poolgate-native", &["poolgate-types", "poolgate-throttle", "poolgate-front"]),
    ("poolgate-web", &["poolgate-types", "poolgate-throttle", "poolgate-front"]),
    (
        "poolgate",
        &[
            "poolgate-types",
            "poolgate-control",
            "poolgate-pool",
            "poolgate-cluster",
            "poolgate-server",
            "poolgate-gateway",
            "poolgate-native",
        ],
    ),
    ("poolgate-client", &["poolgate-types", "poolgate-throttle"]),
    ("poolgate-sim", &["poolgate-types", "poolgate-control", "poolgate-throttle"]),
];

/// What the pure crates may use besides types: nothing that has a clock, a thread or a socket.
const PURE: [(&str, &[&str]); 4] = [
    ("poolgate-types", &["serde", "utoipa"]),
    ("poolgate-control", &["serde"]),
    ("poolgate-throttle", &["serde"]),
    ("poolgate-front", &["serde_json"]),
];

/// What apps that embed the library do not compile.
const OF_THE_PROGRAM: [&str; 13] = [
    "anyhow",
    "clap",
    "config",
    "hyper-rustls",
    "metrics-exporter-prometheus",
    "opentelemetry",
    "rust-embed",
    "rustix",
    "sd-notify",
    "socket2",
    "tokio-io-timeout",
    "toml",
    "tracing-subscriber",
];

/// Libraries that only certain crates may use, with those crates.
const RESERVED: [(&str, &[&str]); 8] = [
    ("async-nats", &["poolgate-cluster"]),
    ("sqlx", &["poolgate-pool", "poolgate-cluster", "poolgate-server", "poolgate"]),
    ("axum", &["poolgate-server", "poolgate-gateway", "poolgate"]),
    ("wasm-bindgen", &["poolgate-client", "poolgate-web"]),
    ("wasm-bindgen-futures", &["poolgate-web"]),
    ("js-sys", &["poolgate-web"]),
    ("web-sys", &["poolgate-web"]),
    ("wasm-bindgen-cli-support", &["xtask"]),
];

type Manifests = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_dependency_rule_holds() {
    let broken = violations(&workspace());
    assert!(broken.is_empty(), "the dependency rule is broken:\n{}", broken.join("\n"));
}

#[test]
fn every_crate_of_the_workspace_has_a_rule() {
    let ruled: BTreeSet<_> = OURS.iter().map(|(package, _)| (*package).to_owned()).collect();
    let mut found: BTreeSet<_> = workspace().into_keys().filter(|name| is_ours(name)).collect();
    // Packages of bench/ and tests/ may depend on anything, and only each other may depend on them.
    found.retain(|name| !is_for_tests(name));
    assert_eq!(found, ruled);
}

#[test]
fn a_violation_is_found() {
    let manifest = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut broken = workspace();
    broken.insert("poolgate-throttle".into(), manifest(&["poolgate-types", "tokio"]));
    broken.insert("poolgate-client".into(), manifest(&["poolgate-pool", "wasm-bindgen"]));
    broken.insert("poolgate-control".into(), manifest(&["sqlx", "poolgate-e2e"]));
    broken.insert("poolgate-server".into(), manifest(&["clap", "poolgate"]));
    let seen = violations(&broken).join("\n");
    for expected in [
        "poolgate-throttle is pure and may not use tokio",
        "poolgate-client may not depend on poolgate-pool",
        "poolgate-control may not use sqlx",
        "poolgate-control may not depend on poolgate-e2e",
        "poolgate-server may not depend on poolgate",
        "clap is for the program and not for poolgate-server",
    ] {
        assert!(seen.contains(expected), "{expected} is missing in:\n{seen}");
    }
}

fn violations(workspace: &Manifests) -> Vec<String> {
    let mut broken = Vec::new();
    for (package, allowed) in OURS {
        let ours = workspace[package].iter().filter(|name| is_ours(name));
        for other in ours.filter(|name| !allowed.contains(&name.as_str())) {
            broken.push(format!("{package} may not depend on {other}"));
        }
    }
    for (package, allowed) in PURE {
        let others = workspace[package].iter().filter(|name| !is_ours(name));
        for other in others.filter(|name| !allowed.contains(&name.as_str())) {
            broken.push(format!("{package} is pure and may not use {other}"));
        }
    }
    for library in OF_THE_PROGRAM.iter().filter(|library| workspace["poolgate-server"].contains(**library)) {
        broken.push(format!("{library} is for the program and not for poolgate-server"));
    }
    for (library, allowed) in RESERVED {
        let users = workspace.iter().filter(|(_, uses)| uses.contains(library)).map(|(package, _)| package);
        for user in users.filter(|name| !allowed.contains(&name.as_str()) && !is_for_tests(name)) {
            broken.push(format!("{user} may not use {library}"));
        }
    }
    broken
}

fn is_ours(package: &str) -> bool {
    package == "poolgate" || package.starts_with("poolgate-")
}

fn is_for_tests(package: &str) -> bool {
    ["poolgate-e2e", "poolgate-soak"].contains(&package)
        || package.starts_with("poolgate-bench-")
        || package.starts_with("poolgate-test-")
}

/// The packages of the workspace and their normal dependencies.
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
