//! The npm package @poolgate/client as a folder: WebAssembly, its glue and the hand-written JavaScript.
//!
//! wasm-bindgen is used as a library, so that no program must be installed.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use walrus::ir::{InstrLocId, Unreachable};
use walrus::{Data, Function, FunctionKind, Module};
use wasm_bindgen_cli_support::{Bindgen, Output};

use crate::node::Node;
use crate::process::{output, run};
use crate::project::Project;
use crate::step::step;
use crate::tools;

/// The glue's name; `js/engine` imports `../poolgate_client.js`.
const NAME: &str = "poolgate_client";
/// The WebAssembly in the package.
pub(crate) const WASM: &str = "poolgate_client_bg.wasm";
/// The WebAssembly as a JavaScript string; inline.js imports it.
const INLINE: &str = "poolgate_client_inline.js";
/// The files that apps import. Entries of one group share code in a file beside them; the status element stands alone.
const ENTRIES: [&[&str]; 2] = [&["index.js", "inline.js", "node.js", "service-worker.js"], &["status.js"]];
/// Sources that are not for apps.
const NOT_SHIPPED: [&str; 4] = ["test", "node_modules", "tsconfig.json", "package-lock.json"];

/// Optimizes for size until nothing more is found, and strips everything that is for tools.
const WASM_OPT: [&str; 8] = [
    "-Oz",
    "--generate-global-effects",
    "-Oz",
    "--converge",
    "--reorder-functions",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
];

/// Features that rustc may use and every browser since 2023 has; Binaryen needs them as options.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Updates `target/npm/client`, the package that the demo and the tests use.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    tools::wasm_target(project)?;
    step("Building the client for the browser", || {
        let glue = bindgen(project)?;
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(project.root.join(license), glue.join(license))?;
        }
        let package = project.npm().join("client");
        mirror(&[&sources(project), &glue], &package)?;
        Ok(package)
    })
}

/// Builds the package for release in `target/npm/release`; wasm-opt and esbuild make it small.
pub(crate) fn build_small(project: &Project) -> Result<PathBuf> {
    let node = Node::find_or_install(project)?;
    let package = build(project)?;
    let release = project.npm().join("release");
    step("Minifying the client (wasm-opt, esbuild)", || {
        let optimized = project.npm().join("optimized");
        fs::create_dir_all(&optimized)?;
        optimize(project, &node, &package.join(WASM), &optimized)?;
        let complete = project.npm().join("complete");
        mirror(&[&package, &optimized], &complete)?;
        let bundled = project.npm().join("bundled");
        bundle(project, &node, &complete, &bundled)?;
        let rest = project.npm().join("rest");
        mirror_some(&[&complete], &rest, &|name| is_shipped(name) && !is_bundled(name))?;
        mirror(&[&rest, &bundled], &release)
    })?;
    Ok(release)
}

fn optimize(project: &Project, node: &Node, wasm: &Path, optimized: &Path) -> Result<()> {
    let small = optimized.join(WASM);
    if is_newer(&small, wasm) {
        return Ok(());
    }
    let partial = optimized.join(".partial.wasm");
    let mut wasm_opt = node.tool(project, "wasm-opt")?;
    wasm_opt.args(WASM_OPT).args(WASM_FEATURES);
    output(wasm_opt.arg(wasm).arg("-o").arg(&partial))?;
    write_inline(&partial, optimized)?;
    Ok(fs::rename(&partial, &small)?)
}

/// Bundles one minified file per entry and their shared code.
fn bundle(project: &Project, node: &Node, from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    for entries in ENTRIES {
        let mut esbuild = node.tool(project, "esbuild")?;
        esbuild.args(entries.iter().map(|entry| from.join(entry))).arg(format!("--outdir={}", to.display()));
        esbuild.args(["--bundle", "--splitting", "--format=esm", "--target=es2022", "--external:node:*", "--minify"]);
        esbuild.args(["--chunk-names=[name]-[hash]", "--sourcemap", "--log-level=warning"]);
        output(&mut esbuild)?;
    }
    for entry in fs::read_dir(to)? {
        let script = entry?.path();
        if script.extension() == Some(OsStr::new("js")) {
            squeeze(project, node, &script)?;
        }
    }
    // Its map would contain the module once more.
    let inline = to.join("inline.js");
    let script = fs::read_to_string(&inline)?;
    fs::write(&inline, script.replace("//# sourceMappingURL=inline.js.map", ""))?;
    Ok(fs::remove_file(to.join("inline.js.map"))?)
}

/// terser saves a few percent more than esbuild.
fn squeeze(project: &Project, node: &Node, script: &Path) -> Result<()> {
    let map = script.with_added_extension("map");
    let name = map.file_name().unwrap_or_default().display();
    let mut terser = node.tool(project, "terser")?;
    terser.arg(script).args(["--module", "--compress", "passes=3,ecma=2020", "--mangle", "--source-map"]);
    terser.arg(format!("content='{}',url='{name}',includeSources", map.display())).arg("--output").arg(script);
    output(&mut terser).map(drop)
}

/// Makes `target` a copy of all `sources`, of which later ones win, and removes everything else from it. Unchanged files stay
/// untouched, so that a running server and its caches see only changes.
pub(crate) fn mirror(sources: &[&Path], target: &Path) -> Result<()> {
    mirror_some(sources, target, &is_shipped)
}

/// The same with the wanted files only; a folder without any is left out.
fn mirror_some(sources: &[&Path], target: &Path, is_wanted: &dyn Fn(&OsStr) -> bool) -> Result<()> {
    fs::create_dir_all(target)?;
    let mut wanted = BTreeMap::new();
    for source in sources {
        for entry in fs::read_dir(source).with_context(|| format!("reading {}", source.display()))? {
            let entry = entry?;
            if is_wanted(&entry.file_name()) {
                wanted.insert(entry.file_name(), entry.path());
            }
        }
    }
    for (name, from) in &wanted {
        let to = target.join(name);
        if from.is_dir() {
            mirror_some(&[from], &to, is_wanted)?;
            // Fails where the folder is not empty.
            fs::remove_dir(&to).ok();
            continue;
        }
        let content = fs::read(from)?;
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::write(&to, content)?;
        }
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        if wanted.contains_key(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_shipped(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    !hidden && !NOT_SHIPPED.iter().any(|other| name == *other)
}

/// Scripts, and the glue's declarations, which are not needed after bundling.
fn is_bundled(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.ends_with(".js") || name.starts_with(NAME) && name.ends_with(".d.ts")
}

fn sources(project: &Project) -> PathBuf {
    project.root.join("crates/poolgate-client/js")
}

/// Compiles the crate and generates its glue, unless both are up to date.
fn bindgen(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--package", "poolgate-client", "--lib", "--profile", "wasm"]);
    cargo.args(["--target", "wasm32-unknown-unknown", "--config", &short_paths()?]);
    run(&mut cargo)?;
    let compiled = project.target.join("wasm32-unknown-unknown/wasm").join(format!("{NAME}.wasm"));
    let glue = project.npm().join("glue");
    if !is_newer(&glue.join(WASM), &compiled) {
        let mut bindgen = Bindgen::new();
        // For bundlers: `js/engine/module.js` loads the module.
        bindgen.bundler(true)?.input_module(NAME, without_panics(&compiled)?).typescript(true);
        let mut output = bindgen.generate_output().context("generating the JavaScript glue")?;
        let script = shorten(&mut output)?;
        output.emit(&glue)?;
        fs::write(glue.join(format!("{NAME}.js")), script)?;
        fs::remove_file(glue.join(format!("{NAME}_bg.js")))?;
        write_inline(&glue.join(WASM), &glue)?;
    }
    Ok(glue)
}

/// Parts of the mangled names of functions that a panic calls, or with which wasm-bindgen throws.
const PANICS: [&str; 9] = [
    "12wasm_bindgen4__rt10throw_null",
    "12wasm_bindgen9throw_str",
    "12wasm_bindgen16__wbindgen_throw17h",
    "4core9panicking",
    "13expect_failed",
    "13unwrap_failed",
    "13assert_failed",
    "12handle_error",
    "18handle_alloc_error",
];

/// A readable run of at least this many bytes is a text.
const SHORTEST_TEXT: usize = 8;

/// The module with panics that trap at once. WebAssembly has no standard error, so the message of a panic is lost anyway; the
/// code that formats it is a fifth of the module. The messages are removed too: the module uses no other texts.
///
/// `panic = "immediate-abort"` of rustc does the same, once it is stable.
fn without_panics(compiled: &Path) -> Result<Module> {
    let mut module = Module::from_file(compiled).with_context(|| format!("reading {}", compiled.display()))?;
    let mut found = 0;
    for function in module.funcs.iter_mut() {
        let Function { kind: FunctionKind::Local(body), name: Some(name), .. } = function else { continue };
        if PANICS.iter().any(|panic| name.contains(panic)) {
            let entry = body.entry_block();
            body.block_mut(entry).instrs = vec![(Unreachable {}.into(), InstrLocId::default())];
            found += 1;
        }
    }
    ensure!(found > 0, "{} has no name section, which is needed to find the panic functions", compiled.display());
    let segments: Vec<_> = module.data.iter().map(Data::id).collect();
    for segment in segments {
        erase_texts(&mut module.data.get_mut(segment).value);
    }
    Ok(module)
}

/// Overwrites texts with zeros.
fn erase_texts(data: &mut [u8]) {
    for run in data.chunk_by_mut(|one, next| is_readable(*one) == is_readable(*next)) {
        if run.len() >= SHORTEST_TEXT && run.first().is_some_and(|byte| is_readable(*byte)) {
            run.fill(0);
        }
    }
}

fn is_readable(byte: u8) -> bool {
    byte == b'\n' || (b' '..=b'~').contains(&byte)
}

/// Shortens the names of imports and exports, which stand both in the script and in the module.
fn shorten(output: &mut Output) -> Result<String> {
    let mut script = output.start().context("wasm-bindgen generated no glue")?.clone();
    let module = output.wasm_mut();
    for (number, export) in module.exports.iter_mut().enumerate() {
        if ["memory", "__wbindgen_start"].contains(&export.name.as_str()) {
            continue;
        }
        let short = format!("e{number}");
        for end in ["(", ";"] {
            script = script.replace(&format!("wasm.{}{end}", export.name), &format!("wasm.{short}{end}"));
        }
        export.name = short;
    }
    let mut imports = Vec::new();
    for (number, import) in module.imports.iter_mut().enumerate() {
        let short = format!("i{number}");
        script = script.replace(&format!("export function {}(", import.name), &format!("function {short}("));
        imports.push(short.clone());
        import.name = short;
    }
    script.push_str(&format!("\nexport const imports = {{ {} }};\n", imports.join(", ")));
    // Removes glue that is not needed: a throttle is freed when it is collected, and no objects cross.
    for (from, to, by) in [
        ("__destroy_into_raw() {", "/**", ""),
        ("if (Symbol.dispose)", "\n", ""),
        ("(typeof FinalizationRegistry === 'undefined')", ": new", "new"),
        ("const table = wasm.", "}", "}"),
    ] {
        let (before, rest) = script.split_once(from).with_context(|| format!("the glue has no `{from}`"))?;
        let (_, after) = rest.split_once(to).with_context(|| format!("`{from}` has no end"))?;
        script = format!("{before}{by}{}{after}", if to == "/**" { to } else { "" });
    }
    Ok(script)
}

/// Base64, because a string is parsed faster than a list of numbers.
fn write_inline(wasm: &Path, folder: &Path) -> Result<()> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("export const base64 =\n  \"");
    for chunk in fs::read(wasm)?.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text.push_str("\";\n");
    Ok(fs::write(folder.join(INLINE), text)?)
}

/// Keeps the machine's paths out of the module; a panic's message names its source file.
fn short_paths() -> Result<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cargo_home = cargo_home.context("neither CARGO_HOME nor a home folder is set")?;
    let remap = format!("--remap-path-prefix={}=", cargo_home.join("registry/src").display());
    Ok(format!("target.wasm32-unknown-unknown.rustflags=[{}]", serde_json::to_string(&remap)?))
}

fn is_newer(made: &Path, from: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    modified(made).zip(modified(from)).is_some_and(|(made, from)| made >= from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_erased_but_numbers_are_not() {
        let mut data = b"\x01\x02seven..\x00index out of bounds: the len is \xff1234567\x00 and a\nnew line".to_vec();
        erase_texts(&mut data);
        let rest: Vec<_> = data.iter().filter(|byte| **byte != 0).copied().collect();
        assert_eq!(rest, b"\x01\x02seven..\xff1234567");
        assert_eq!(data.len(), 66);
    }

    #[test]
    fn a_mirror_holds_the_sources_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("xtask-mirror-{}", std::process::id()));
        let (js, glue, package) = (root.join("js"), root.join("glue"), root.join("package"));
        for folder in ["js/test", "js/part", "glue", "package/gone"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (file, content) in [
            ("js/index.js", "shell"),
            ("js/part/a.js", "a"),
            ("js/test/a.test.js", "not shipped"),
            ("js/same.wasm", "large"),
            ("glue/same.wasm", "small"),
            ("package/old.js", "old"),
        ] {
            fs::write(root.join(file), content).unwrap();
        }
        mirror(&[&js, &glue], &package).unwrap();
        let read = |file: &str| fs::read_to_string(package.join(file)).ok();
        assert_eq!(read("index.js").as_deref(), Some("shell"));
        assert_eq!(read("part/a.js").as_deref(), Some("a"));
        assert_eq!(read("same.wasm").as_deref(), Some("small"), "the later source wins");
        for gone in ["test", "old.js", "gone"] {
            assert!(!package.join(gone).exists(), "{gone}");
        }
        let before = fs::metadata(package.join("same.wasm")).unwrap().modified().unwrap();
        mirror(&[&js, &glue], &package).unwrap();
        let after = fs::metadata(package.join("same.wasm")).unwrap().modified().unwrap();
        assert_eq!(before, after, "unchanged files stay untouched");
        fs::remove_dir_all(&root).unwrap();
    }
}
