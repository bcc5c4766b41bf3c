//! Chromium and a chromedriver of the same version, for the browser tests.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::process::{find, output};

const OTHERWISE: &str = "install Chromium or Chrome and the chromedriver of the same version on PATH, or name them in \
                         CHROMIUM and CHROMEDRIVER";

/// Both programs.
pub(crate) struct Chromium {
    /// The browser.
    pub(crate) browser: PathBuf,
    /// chromedriver, of the browser's version.
    pub(crate) driver: PathBuf,
}

impl Chromium {
    /// The programs named by CHROMIUM and CHROMEDRIVER, or those on PATH; apt installs them if they are missing.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return found.checked();
        }
        apt::install(&["chromium", "chromium-driver", "fonts-liberation"], OTHERWISE)?;
        Self::find().context(OTHERWISE)?.checked()
    }

    fn find() -> Option<Self> {
        let named = |variable| env::var_os(variable).map(PathBuf::from);
        let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let browser = named("CHROMIUM").or_else(|| browsers.into_iter().find_map(find))?;
        let driver = named("CHROMEDRIVER").or_else(|| find("chromedriver"))?;
        Some(Self { browser, driver })
    }

    /// A chromedriver of another version fails with an unclear message, so check it here.
    fn checked(self) -> Result<Self> {
        let browser = version(&output(Command::new(&self.browser).arg("--version"))?);
        let driver = version(&output(Command::new(&self.driver).arg("--version"))?);
        if browser.is_none() || browser != driver {
            bail!(
                "{} is version {} and {} is version {}: {OTHERWISE}",
                self.browser.display(),
                browser.unwrap_or_default(),
                self.driver.display(),
                driver.unwrap_or_default(),
            );
        }
        Ok(self)
    }
}

/// The major version in "Chromium 156.0.8078.79 built on Debian" or "ChromeDriver 156.0.8078.79 (…)".
fn version(announced: &str) -> Option<String> {
    let number = announced.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(number.split('.').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_by_their_first_number() {
        assert_eq!(version("Chromium 156.0.8078.79 built on Debian GNU/Linux 12"), Some("156".into()));
        assert_eq!(version("ChromeDriver 156.0.8078.73 (0a1b)"), Some("156".into()));
        assert_eq!(version("nothing"), None);
    }
}
