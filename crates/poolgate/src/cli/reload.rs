//! Reading the settings again while the server runs.

use poolgate_server::{Poolgate, Settings};

use super::systemd;

/// Reads the settings again, as at the start: the file, the environment and the flags.
pub(super) type ReadAgain = Box<dyn Fn() -> anyhow::Result<Settings> + Send + Sync>;

/// Takes over what can change.
pub(super) struct Reload {
    read_again: ReadAgain,
    poolgate: Poolgate,
    /// Takes over what a part beside `poolgate` has of the settings.
    also: Box<dyn Fn(&Settings) + Send + Sync>,
}

impl Reload {
    pub(super) fn new(
        read_again: ReadAgain,
        poolgate: Poolgate,
        also: impl Fn(&Settings) + Send + Sync + 'static,
    ) -> Self {
        Self { read_again, poolgate, also: Box::new(also) }
    }

    /// Checks the settings, and takes over what can change. Wrong settings change nothing.
    pub(super) fn run(&self) {
        systemd::during_reload(|| self.take_over());
    }

    fn take_over(&self) {
        match (self.read_again)() {
            Ok(settings) => {
                let needs_restart = self.poolgate.reload(&settings);
                (self.also)(&settings);
                if needs_restart.is_empty() {
                    tracing::info!("Settings reloaded");
                } else {
                    tracing::warn!(
                        keys = needs_restart.join(", "),
                        "Settings reloaded; these act only after a restart"
                    );
                }
            }
            Err(error) => {
                self.poolgate.reload_failed();
                tracing::error!("Settings not reloaded, those before stay in force: {error:#}");
            }
        }
    }
}
