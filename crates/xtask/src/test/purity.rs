//! Checks that the pure crates have no side effects: compiled to WebAssembly they import nothing.
//!
//! A clock, a random source or a system call would be an import. Calls that compile without an import (`Instant::now`
//! panics at run time) are forbidden by clippy.toml.

use std::fs;

use anyhow::{Context, Result, bail};

use super::setting::Setting;
use super::transcript::Transcript;
use crate::tools;

const PURE: [&str; 4] = ["poolgate-types", "poolgate-control", "poolgate-throttle", "poolgate-front"];
const TARGET: &str = "wasm32-unknown-unknown";

/// No code calls the module; without these flags compiler and linker would remove all of it.
const KEEP_ALL: [&str; 4] = ["-C", "link-dead-code", "-C", "link-arg=--no-gc-sections"];

/// A library that does import something, to prove that the check works.
const PROBE: &str = "unsafe extern \"C\" { fn host_clock() -> u64; }
    pub fn now() -> u64 { unsafe { host_clock() } }";

/// Compiles each crate to a module with all its code, and checks the imports. The client's module may import only from
/// its own glue.
pub(super) fn check(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let project = setting.project;
    tools::wasm_target(project)?;
    probe(setting, transcript)?;
    for package in PURE {
        let mut rustc = project.cargo();
        rustc.args(["rustc", "--locked", "--package", package, "--lib", "--target", TARGET]);
        transcript.run(rustc.args(["--crate-type", "cdylib", "--"]).args(KEEP_ALL))?;
        let file = format!("{}.wasm", package.replace('-', "_"));
        let module = fs::read(project.target.join(TARGET).join("debug").join(file))?;
        let imports = imports(&module)?;
        transcript.note(&format!("{package} imports {imports:?}"))?;
        if !imports.is_empty() {
            bail!("{package} is not pure: it imports {imports:?}");
        }
    }
    let client = imports(&fs::read(setting.client_wasm()?)?)?;
    transcript.note(&format!("poolgate-client imports {client:?}"))?;
    match client.iter().find(|import| !import.starts_with("./poolgate_client_bg.js")) {
        Some(import) => bail!("poolgate-client imports {import}, which is not in its glue"),
        None => Ok(()),
    }
}

fn probe(setting: &Setting, transcript: &mut Transcript) -> Result<()> {
    let folder = setting.project.reports().join("probe");
    fs::create_dir_all(&folder)?;
    let source = folder.join("probe.rs");
    fs::write(&source, PROBE)?;
    let mut rustc = setting.project.command("rustc");
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--target", TARGET]);
    transcript.run(rustc.args(KEEP_ALL).arg("--out-dir").arg(&folder).arg(source))?;
    let found = imports(&fs::read(folder.join("probe.wasm"))?)?;
    if found != ["env.host_clock"] {
        bail!("the check does not work: for a library that imports env.host_clock it finds {found:?}");
    }
    Ok(())
}

/// The names `module.field` in a module's import section.
fn imports(wasm: &[u8]) -> Result<Vec<String>> {
    const IMPORT_SECTION: u8 = 2;
    let mut sections = Bytes(wasm.strip_prefix(b"\0asm\x01\0\0\0").context("no WebAssembly module")?);
    while !sections.0.is_empty() {
        let id = sections.byte()?;
        let length = sections.number()?;
        let mut section = Bytes(sections.take(length)?);
        if id != IMPORT_SECTION {
            continue;
        }
        let count = section.number()?;
        return (0..count).map(|_| section.import()).collect();
    }
    Ok(Vec::new())
}

/// The unread rest of a module.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("the module is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Result<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        bail!("a number in the module has more than 32 bits")
    }

    fn name(&mut self) -> Result<String> {
        let length = self.number()?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// One entry: two names, and a type whose length depends on its kind.
    fn import(&mut self) -> Result<String> {
        let name = format!("{}.{}", self.name()?, self.name()?);
        match self.byte()? {
            0 => drop(self.number()?),
            1 => {
                self.byte()?;
                self.limits()?;
            }
            2 => self.limits()?,
            3 => drop(self.take(2)?),
            4 => {
                self.byte()?;
                self.number()?;
            }
            kind => bail!("{name} has the unknown kind {kind}"),
        }
        Ok(name)
    }

    fn limits(&mut self) -> Result<()> {
        let flags = self.byte()?;
        self.number()?;
        if flags & 1 != 0 {
            self.number()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn imports_are_found_behind_other_sections() {
        let module = [
            HEADER,
            b"\x01\x04\x01\x60\x00\x00", // types: one, () -> ()
            b"\x02\x19\x02\x03env\x03now\x00\x00\x03env\x06memory\x02\x00\x01", // imports: a function, a memory
        ]
        .concat();
        assert_eq!(imports(&module).unwrap(), ["env.now", "env.memory"]);
    }

    #[test]
    fn a_module_without_the_section_imports_nothing() {
        assert!(imports(HEADER).unwrap().is_empty());
    }

    #[test]
    fn an_invalid_module_is_an_error() {
        assert!(imports(b"<!doctype html>").is_err());
        assert!(imports(&[HEADER, b"\x02\x09\x01"].concat()).is_err());
    }
}
