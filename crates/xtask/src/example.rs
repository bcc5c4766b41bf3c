//! Front ends in other frameworks. Each has a workspace and a lock file of its own, so that no other command compiles them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::client_package::{self, mirror};
use crate::demo;
use crate::process::{path_with, run as run_command};
use crate::project::Project;
use crate::step::step;
use crate::tools;

const NAMES: [&str; 1] = ["leptos-shop"];
/// With gloo-net alone, and with one feature each.
const PAGE_VARIANTS: [&str; 3] = ["bare", "poolgate", "reqwest"];

/// `cargo xtask example`. The group's name differs from that of the demo's options, which it contains.
#[derive(Args)]
#[group(id = "example")]
pub(crate) struct Options {
    /// Which one
    #[arg(value_parser = NAMES)]
    name: String,
    /// Build it, and do not start the demo
    #[arg(long)]
    build_only: bool,
    #[command(flatten)]
    demo: demo::Options,
}

/// Runs the command.
pub(crate) fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    build(project, &options.name)?;
    if options.build_only {
        return Ok(ExitCode::SUCCESS);
    }
    demo::run(project, &options.demo)
}

/// Builds every example and the page of `tests/examples`, and checks the recipes of the documents. Gives the folder with the
/// page's variants.
pub(crate) fn build_all(project: &Project) -> Result<PathBuf> {
    NAMES.iter().try_for_each(|name| build(project, name))?;
    check_recipes(project)?;
    build_pages(project, &PAGE_VARIANTS)
}

/// Builds variants of a page without a framework. Gives their folder.
pub(crate) fn build_pages(project: &Project, variants: &[&str]) -> Result<PathBuf> {
    tools::wasm_target(project)?;
    let pages = target(project).join("page");
    step("Building a page in Rust with and without poolgate-web", || {
        variants.iter().try_for_each(|variant| build_page(project, variant, &pages.join(variant)))
    })?;
    Ok(pages)
}

/// The code of docs/rust-front-ends.md for other frameworks.
fn check_recipes(project: &Project) -> Result<()> {
    step("Checking the recipes for Yew and Dioxus", || {
        let mut cargo = project.cargo();
        cargo.current_dir(project.root.join("tests/examples/recipes")).env("CARGO_TARGET_DIR", target(project));
        run_command(cargo.args(["check", "--locked", "--quiet", "--target", "wasm32-unknown-unknown"]))
    })
}

fn build_page(project: &Project, variant: &str, to: &Path) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.current_dir(project.root.join("tests/examples/page")).env("CARGO_TARGET_DIR", target(project));
    cargo.args(["build", "--locked", "--quiet", "--release", "--target", "wasm32-unknown-unknown"]);
    if variant != "bare" {
        cargo.args(["--features", variant]);
    }
    run_command(&mut cargo)?;
    let mut bindgen = project.command(tools::WASM_BINDGEN.folder(project)?.join("wasm-bindgen"));
    bindgen.args(["--target", "web", "--out-dir"]).arg(to);
    run_command(bindgen.arg(target(project).join("wasm32-unknown-unknown/release/example_page.wasm")))
}

/// What the examples compile, kept for the next time.
fn target(project: &Project) -> PathBuf {
    project.target.join("examples")
}

/// Builds an example with Trunk, into the folder that the demo serves.
fn build(project: &Project, name: &str) -> Result<()> {
    let package = client_package::build(project)?;
    let trunk = tools::TRUNK.program(project)?;
    let bindgen = tools::WASM_BINDGEN.folder(project)?;
    let folder = project.root.join("examples").join(name);
    mirror(&[&package], &folder.join("pkg"))?;
    step(&format!("Building {name} (Trunk; some minutes the first time)"), || {
        let mut build = project.command(trunk);
        build.current_dir(&folder).args(["build", "--release", "--quiet"]);
        build.env("CARGO_TARGET_DIR", target(project)).env("PATH", path_with(&[bindgen])?);
        // Trunk rejects the common NO_COLOR=1.
        run_command(build.env("NO_COLOR", "true"))?;
        mirror(&[&folder.join("dist")], &project.www().join("examples").join(name))
    })
}

/// Paths of the built examples below the demo's address.
pub(crate) fn built(project: &Project) -> impl Iterator<Item = String> {
    let www = project.www();
    NAMES.iter().map(|name| format!("examples/{name}/index.html")).filter(move |path| www.join(path).exists())
}
