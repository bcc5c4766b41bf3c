//! Checks that no dependency of a library needs a newer Rust than the library promises (`rust-version`). Clippy checks
//! the libraries' own code (`incompatible_msrv`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The libraries with a promise of their own; the rest of the workspace is built with the pinned toolchain.
const LIBRARIES: [&str; 7] = [
    "poolgate-types",
    "poolgate-control",
    "poolgate-throttle",
    "poolgate-front",
    "poolgate-native",
    "poolgate-pool",
    "poolgate-server",
];

type Version = (u32, u32);

/// A package, what it needs, and its normal dependencies.
struct Package {
    name: String,
    needs: Option<Version>,
    uses: Vec<String>,
}

type Packages = BTreeMap<String, Package>;

#[test]
fn no_dependency_needs_a_newer_rust_than_its_library_promises() {
    let packages = packages();
    let mut broken = Vec::new();
    for library in LIBRARIES {
        let id = packages.iter().find(|(_, package)| package.name == library).expect(library).0;
        let promised = packages[id].needs.expect("a library has a rust-version");
        for used in closure(&packages, id).into_iter().map(|id| &packages[id]) {
            if let Some(needed) = used.needs.filter(|needed| *needed > promised) {
                broken.push(format!("{library} promises {promised:?}, but {} needs {needed:?}", used.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn what_the_libraries_need_is_found() {
    let packages = packages();
    let (id, _) = packages.iter().find(|(_, package)| package.name == "poolgate-pool").expect("the pool");
    let newest = closure(&packages, id).into_iter().filter_map(|id| packages[id].needs).max();
    assert_eq!(newest, packages[id].needs, "the pool promises exactly what sqlx needs");
}

fn closure<'a>(packages: &'a Packages, root: &'a str) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(packages[id].uses.iter().map(String::as_str));
        }
    }
    found
}

/// All packages that the workspace needs on this machine, by id.
fn packages() -> Packages {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host()])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let is_normal = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    let uses: BTreeMap<_, Vec<_>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let normal = list(&node["deps"]).into_iter().filter(is_normal);
            (text(&node["id"]), normal.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect();
    let package = |package: &Value| {
        let id = text(&package["id"]);
        let uses = uses.get(&id).cloned().unwrap_or_default();
        (id, Package { name: text(&package["name"]), needs: package["rust_version"].as_str().map(version), uses })
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

fn host() -> &'static str {
    match (std::env::consts::ARCH, std::env::consts::OS) {
        ("aarch64", "linux") => "aarch64-unknown-linux-gnu",
        ("aarch64", "macos") => "aarch64-apple-darwin",
        _ => "x86_64-unknown-linux-gnu",
    }
}

/// Major and minor: a patch release adds nothing.
fn version(text: &str) -> Version {
    let mut numbers = text.split('.').map(|number| number.parse().expect("a version"));
    (numbers.next().expect("a major version"), numbers.next().unwrap_or(0))
}
