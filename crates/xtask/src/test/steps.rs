//! The steps, cheapest first, so that frequent failures show early.

use std::fs;

use anyhow::{Context, Result};

use super::binaries::Binary;
use super::count::Counts;
use super::purity;
use super::setting::{Setting, with_flags};
use super::transcript::Transcript;
use crate::process::path_with;
use crate::{example, fuzz, nats, page, postgres, proxies, tools};

/// One step of the test run.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Left out by `--quick`.
    pub(super) slow: bool,
    pub(super) counts: Counts,
    pub(super) work: fn(&Setting, &mut Transcript) -> Result<()>,
}

/// All of them, in the order in which they run.
pub(super) const STEPS: &[Step] = &[
    Step { name: "format", slow: false, counts: Counts::Itself, work: format },
    Step { name: "spelling", slow: false, counts: Counts::Itself, work: spelling },
    Step { name: "licenses, sources, bans", slow: false, counts: Counts::Itself, work: deny },
    Step { name: "advisories", slow: true, counts: Counts::Itself, work: advisories },
    Step { name: "clippy", slow: false, counts: Counts::Itself, work: clippy },
    Step { name: "clippy for wasm", slow: false, counts: Counts::Itself, work: clippy_wasm },
    Step { name: "pure crates import nothing", slow: false, counts: Counts::Itself, work: purity::check },
    Step { name: "Rust tests", slow: false, counts: Counts::RustTests, work: rust_tests },
    Step { name: "short soak", slow: true, counts: Counts::RustTests, work: short_soak },
    Step { name: "apps behind the gateway", slow: true, counts: Counts::RustTests, work: apps },
    Step { name: "fuzz targets", slow: true, counts: Counts::Itself, work: fuzz_targets },
    Step { name: "documentation", slow: true, counts: Counts::Itself, work: documentation },
    Step { name: "JavaScript types", slow: false, counts: Counts::Itself, work: types },
    Step { name: "JavaScript tests", slow: false, counts: Counts::NodeTests, work: javascript_tests },
    Step { name: "wasm in Chromium", slow: true, counts: Counts::RustTests, work: wasm_tests },
    Step { name: "browser, page from disk", slow: true, counts: Counts::NodeTests, work: browser_from_disk },
    Step { name: "browser, release page", slow: true, counts: Counts::NodeTests, work: browser_release },
    Step { name: "operations", slow: false, counts: Counts::NodeTests, work: operations },
    Step { name: "packaging", slow: true, counts: Counts::NodeTests, work: packaging },
];

/// Test binaries that run at the same time. Each runs as many tests at once as there are cores; most of them wait.
const AT_ONCE: usize = 2;

/// Runs only if `--only` names it: it compiles a web framework, which takes minutes.
pub(super) const EXAMPLES: Step = Step { name: "examples", slow: true, counts: Counts::NodeTests, work: examples };

fn format(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    tools::lint_components(setting.project)?;
    transcript.run(setting.project.cargo().args(["fmt", "--all", "--check"]))
}

/// Misspelt words in all files that git tracks; typos.toml says what is none.
fn spelling(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let folder = tools::TYPOS.folder(setting.project)?;
    transcript.run(&mut setting.project.command(folder.join("bin/typos")))
}

fn deny(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let mut deny = setting.project.command(tools::CARGO_DENY.program(setting.project)?);
    transcript.run(deny.args(["--locked", "check", "bans", "licenses", "sources"]))
}

/// If the advisory database is unreachable, the step is skipped.
fn advisories(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let program = tools::CARGO_DENY.program(setting.project)?;
    if transcript.run(setting.project.command(&program).args(["fetch", "db"])).is_err() {
        transcript.skip("the advisory database is unreachable");
        return Ok(());
    }
    transcript.run(setting.project.command(program).args(["--locked", "check", "advisories", "--disable-fetch"]))
}

fn clippy(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    tools::lint_components(setting.project)?;
    let mut clippy = setting.project.cargo();
    clippy.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    transcript.run(&mut clippy)
}

fn clippy_wasm(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    tools::wasm_target(setting.project)?;
    let mut clippy = setting.project.cargo();
    clippy.args(["clippy", "--locked", "--target", "wasm32-unknown-unknown", "--all-targets"]);
    clippy.args(["--package", "poolgate-client", "--package", "poolgate-web"]);
    transcript.run(clippy.args(["--", "-D", "warnings"]))
}

/// Unit, property, integration and documentation tests, on SQLite and PostgreSQL, and the pool's one-minute test. Also
/// builds the server's binary.
fn rust_tests(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    postgres::find_or_install()?;
    postgres::find_or_install_pooler()?;
    proxies::find_or_install()?;
    let nats_server = nats::find_or_unpack(setting.project)?;
    let mut build = setting.project.cargo();
    transcript.run(build.args(["build", "--locked", "--workspace", "--all-targets"]))?;
    let binaries = Binary::all(setting.project)?;
    let pool = binaries.iter().find(|binary| binary.is("poolgate-pool", "postgres"));
    let pool = pool.context("the pool has no tests on PostgreSQL")?;
    let mut long = pool.command(setting.project);
    long.args(["--ignored", "crowds", "--nocapture"]);
    let mut in_docs = setting.project.cargo();
    in_docs.args(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"]);
    let commands = |measures| {
        let chosen = binaries.iter().filter(move |binary| binary.measures() == measures);
        chosen.map(|binary| {
            let mut command = binary.command(setting.project);
            command
                .env("TEST_POOLGATE_BIN", crate::server::binary(setting.project))
                .env("TEST_NATS_SERVER", &nats_server);
            command
        })
    };
    let waited = transcript.run_together(commands(false).chain([long, in_docs]).collect(), AT_ONCE);
    let measured = transcript.run_together(commands(true).collect(), 1);
    waited.and(measured)
}

/// Runs alone, because it measures the share of requests served. It is not selected by its package, which would rebuild
/// it.
fn short_soak(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    postgres::find_or_install()?;
    postgres::find_or_install_pooler()?;
    let mut test = setting.project.cargo();
    test.args(["test", "--locked", "--workspace", "--test", "short", "--", "--ignored", "--nocapture"]);
    transcript.run(test.env("TEST_POOLGATE_BIN", crate::server::binary(setting.project)))
}

/// Some targets for a short while, all at the same time; `cargo xtask fuzz` runs every target for longer.
fn fuzz_targets(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    const SECONDS: u32 = 60;
    // The others join after their first long run without a finding.
    const TARGETS: [&str; 4] = ["header", "config", "database_url", "settings"];
    transcript.run(&mut fuzz::build_targets(setting.project)?)?;
    let runs: Result<Vec<_>> =
        TARGETS.into_iter().map(|target| fuzz::run_target(setting.project, target, SECONDS)).collect();
    transcript.run_together(runs?, TARGETS.len())
}

/// By themselves and one by one, for the same reason: the guides with apps in other languages, alone and behind the gateway.
fn apps(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    postgres::find_or_install()?;
    postgres::find_or_install_pooler()?;
    proxies::find_or_install()?;
    let mut test = setting.project.cargo();
    test.args(["test", "--locked", "--workspace", "--test", "guides", "--test", "leavers", "--"]);
    test.env("TEST_FLASK_PYTHON", tools::python_for(setting.project, "tests/apps/flask")?);
    test.args(["--ignored", "--nocapture", "--test-threads=1"]).env("PATH", setting.node()?.path()?);
    transcript.run(test.env("TEST_POOLGATE_BIN", crate::server::binary(setting.project)))
}

fn documentation(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let mut doc = setting.project.cargo();
    doc.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    transcript.run(doc.env("RUSTDOCFLAGS", with_flags("RUSTDOCFLAGS", "-D warnings")))
}

/// Checks the types of the page, of the package that it imports (declarations against code) and of the packaging tests.
fn types(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    setting.package()?;
    setting.node()?.company(setting.project)?;
    for project in ["www", "tests/packaging/client.tsconfig.json", "tests/packaging", "tests/operations", "bench/lab"] {
        let mut tsc = setting.node()?.tool(setting.project, "tsc")?;
        transcript.run(tsc.args(["--pretty", "false", "--project", project]))?;
    }
    Ok(())
}

fn javascript_tests(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let files = setting.test_files("crates/poolgate-client/js/test", "")?;
    transcript.run(&mut setting.node_tests(&files, 2)?)
}

fn wasm_tests(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let chromium = setting.chromium()?;
    for package in ["crates/poolgate-client", "crates/poolgate-web"] {
        let mut wasm_pack = setting.project.command(tools::WASM_PACK.program(setting.project)?);
        wasm_pack.args(["test", "--headless", "--chrome", "--chromedriver"]).arg(&chromium.driver);
        wasm_pack.args([package, "--locked"]);
        // wasm-pack takes the test runner from PATH if its version matches, and downloads it otherwise.
        wasm_pack.env("PATH", path_with(&[tools::WASM_BINDGEN.folder(setting.project)?])?);
        transcript.run(wasm_pack.env("WASM_BINDGEN_TEST_TIMEOUT", "120"))?;
    }
    Ok(())
}

/// Tests with a real server measure what it serves, and run one by one. The others mostly wait, and run two at a time.
fn browser_from_disk(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    const SERVER: &str = "./support/server.js";
    setting.package()?;
    let (mut measuring, mut waiting) = (Vec::new(), Vec::new());
    for file in setting.test_files("tests/browser", "")? {
        let measures = fs::read_to_string(&file)?.contains(SERVER);
        if measures { measuring.push(file) } else { waiting.push(file) }
    }
    let www = setting.project.www();
    let waited = transcript.run(&mut setting.browser_tests(&waiting, 2, &www)?);
    let measured = transcript.run(&mut setting.browser_tests(&measuring, 1, &www)?);
    waited.and(measured).context("the page as the demo serves it")
}

fn browser_release(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let dist = page::dist(setting.project)?;
    let mut tests = setting.browser_tests(&setting.test_files("tests/browser", "page")?, 1, &dist)?;
    transcript.run(&mut tests).context("the page as Trunk makes it")
}

fn operations(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    transcript.run(&mut setting.operations_tests()?)
}

fn packaging(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    transcript.run(&mut setting.packaging_tests()?)
}

/// Front ends in other frameworks, in Chromium on the real server.
fn examples(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let pages = example::build_all(setting.project)?;
    let files = setting.test_files("tests/examples", "")?;
    let mut tests = setting.browser_tests(&files, 1, &setting.project.www())?;
    transcript.run(tests.env("EXAMPLE_PAGES", pages))
}
