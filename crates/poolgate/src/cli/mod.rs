//! The `poolgate` command.

mod healthcheck;
mod run;
mod shutdown;

use std::path::PathBuf;

use anyhow::Context;
use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::settings::{DatabaseUrl, Flag, Overrides, Profile, Settings, mask};

/// Where the demo keeps its data unless a database is named.
const DEMO_DATABASE: &str = "sqlite://poolgate-demo.db";

/// Keep a database at its peak when demand exceeds what its connection pool can serve.
#[derive(Debug, Parser)]
#[command(name = "poolgate", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, Debug, Default, Subcommand)]
enum Command {
    /// Run the server (the default).
    #[default]
    Serve,
    /// Ask a running server whether it is ready; for container health checks.
    Healthcheck,
}

#[derive(Debug, Args)]
struct Options {
    /// Settings file (TOML).
    #[arg(long, value_name = "FILE", env = "POOLGATE_CONFIG_FILE", hide_env_values = true, global = true)]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    bind: Option<String>,
    /// Port to listen on, on the loopback address; 0 lets the system choose.
    #[arg(long, value_name = "N", conflicts_with = "bind", global = true)]
    port: Option<u16>,
    /// The database: postgres://… or sqlite://…; DATABASE_URL is read too and keeps the password out of the process
    /// list.
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// Watch the database of apps in any language instead of having a pool: pgbouncer://user@host:6432/DATABASE or
    /// postgres://user@host/DATABASE; POOLGATE_WATCH__URL keeps the password out of the process list.
    #[arg(long, value_name = "URL", conflicts_with_all = ["database_url", "demo"], global = true)]
    watch: Option<String>,
    /// Apply a preset.
    #[arg(long, global = true)]
    profile: Option<Profile>,
    /// Serve the sample app with its own data.
    #[arg(long, global = true)]
    demo: bool,
    /// Serve the operations page from this folder instead of the embedded one.
    #[arg(long, value_name = "DIR", global = true)]
    www: Option<PathBuf>,
    /// Print the settings with secrets hidden, and exit.
    #[arg(long, global = true)]
    print_config: bool,
    /// Validate the settings and exit.
    #[arg(long, conflicts_with = "print_config", global = true)]
    check_config: bool,
}

impl Cli {
    /// Parses the command line. On an error the process exits with a message that repeats only plain words: a URL in
    /// the wrong place may contain a password.
    pub fn from_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|mut error| {
            hide_values(&mut error);
            error.exit()
        })
    }

    /// Runs the command.
    ///
    /// # Errors
    ///
    /// The error that stopped it; its text says what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        let settings = self.options.settings()?;
        if self.options.print_config {
            print!("{}", settings.to_toml());
            return Ok(());
        }
        if self.options.check_config {
            let advice = settings.advice();
            println!("{}", if advice.is_empty() { "The settings are valid." } else { "The settings are valid, but:" });
            for advice in advice {
                println!("- {advice}");
            }
            return Ok(());
        }
        match self.command.unwrap_or_default() {
            Command::Serve => run::serve(settings).await,
            Command::Healthcheck => healthcheck::ask(settings.server.bind).await,
        }
    }
}

fn hide_values(error: &mut clap::Error) {
    let mut given = vec![ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    if error.kind() == ErrorKind::UnknownArgument {
        given.push(ContextKind::InvalidArg);
    }
    for kind in given {
        if matches!(error.get(kind), Some(ContextValue::String(text)) if mask::word(text).is_none()) {
            error.insert(kind, ContextValue::String(mask::HIDDEN.to_owned()));
        }
    }
}

impl Options {
    fn settings(&self) -> anyhow::Result<Settings> {
        // Variables that are not Unicode belong to other programs.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let environment = environment.filter(|(name, _)| name != "POOLGATE_CONFIG_FILE");
        let mut settings = Settings::load(self.config.as_deref(), environment, &self.overrides()?)?;
        if settings.demo.enabled && settings.database.url.is_none() {
            settings.database.url = Some(DatabaseUrl::new(DEMO_DATABASE)?);
        }
        Ok(settings)
    }

    fn overrides(&self) -> anyhow::Result<Overrides> {
        let mut flags = Vec::new();
        let mut set = |name, key, value: &str| flags.push(Flag { name, key, value: value.to_owned() });
        if let Some(bind) = &self.bind {
            set("--bind", "server.bind", bind);
        }
        if let Some(port) = self.port {
            set("--port", "server.bind", &format!("127.0.0.1:{port}"));
        }
        if let Some(url) = &self.database_url {
            set("--database-url", "database.url", url);
        }
        if let Some(url) = &self.watch {
            set("--watch", "watch.url", url);
        }
        if self.demo {
            set("--demo", "demo.enabled", "true");
        }
        if let Some(www) = &self.www {
            let www = www.to_str().context("--www: the folder's name is not Unicode")?;
            set("--www", "server.www", www);
        }
        Ok(Overrides { profile: self.profile, flags })
    }
}
