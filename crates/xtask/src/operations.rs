//! The programs that check and receive what `ops/` is for (promtool, Alertmanager, systemd-analyze, cargo-deb, and Helm as a
//! library of Python), and mdBook for docs/.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::apt;
use crate::process::find;
use crate::project::Project;
use crate::tools::{CARGO_DEB, MDBOOK, SCHEMATHESIS, install_once, python_for};

/// The package of promtool, which is unpacked into the tool cache: it needs nothing beside it, and so no service is installed.
const PROMETHEUS: &str = "prometheus";
const WITHOUT_PROMTOOL: &str = "install Prometheus (promtool on PATH)";
const WITHOUT_ALERTMANAGER: &str = "install Alertmanager (alertmanager on PATH)";

/// Found on PATH, or from Debian's packages; mdBook from its own.
pub(crate) struct Programs {
    /// Checks and tests rules.
    pub(crate) promtool: PathBuf,
    /// Receives alerts.
    pub(crate) alertmanager: PathBuf,
    /// Checks units; `None` on a system without systemd's package.
    pub(crate) systemd_analyze: Option<PathBuf>,
    /// A Python with Helm, and with the schemas of Kubernetes.
    pub(crate) helm_python: PathBuf,
    /// A Python with Schemathesis.
    pub(crate) schemathesis: PathBuf,
    /// Packs the program; `None` on a system without Debian's tools.
    pub(crate) cargo_deb: Option<PathBuf>,
    /// Makes the book, always in the pinned version.
    pub(crate) mdbook: PathBuf,
}

impl Programs {
    /// Finds them, or makes them available.
    pub(crate) fn find_or_install(project: &Project) -> Result<Self> {
        Ok(Self {
            promtool: promtool(project)?,
            alertmanager: alertmanager()?,
            systemd_analyze: systemd_analyze(),
            helm_python: python_for(project, "tests/operations/helm")?,
            schemathesis: SCHEMATHESIS.python(project)?,
            cargo_deb: find("dpkg-deb").map(|_| CARGO_DEB.program(project)).transpose()?,
            mdbook: MDBOOK.folder(project)?.join("bin/mdbook"),
        })
    }
}

fn promtool(project: &Project) -> Result<PathBuf> {
    const PATH: &str = "usr/bin/promtool";
    if let Some(found) = find("promtool") {
        return Ok(found);
    }
    let announcement = format!("Unpacking Debian's {PROMETHEUS} (once per machine)");
    let folder = install_once(project, &format!("debian-{PROMETHEUS}"), PATH, &announcement, |folder| {
        apt::unpack(PROMETHEUS, folder, WITHOUT_PROMTOOL)
    })?;
    Ok(folder.join(PATH))
}

/// Debian's has its templates at a fixed path, so it has to be installed; Debian prefixes its name, too.
fn alertmanager() -> Result<PathBuf> {
    let found = || find("prometheus-alertmanager").or_else(|| find("alertmanager"));
    if let Some(found) = found() {
        return Ok(found);
    }
    apt::install(&["prometheus-alertmanager"], WITHOUT_ALERTMANAGER)?;
    match found() {
        Some(found) => Ok(found),
        None => bail!(WITHOUT_ALERTMANAGER),
    }
}

fn systemd_analyze() -> Option<PathBuf> {
    const NAME: &str = "systemd-analyze";
    find(NAME).or_else(|| {
        apt::install(&["systemd"], "install systemd").ok()?;
        find(NAME)
    })
}
