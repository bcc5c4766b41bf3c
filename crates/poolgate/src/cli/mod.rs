//! The `poolgate` command.

mod cluster;
mod healthcheck;
mod instance;
mod reload;
mod run;
mod shutdown;
#[cfg(unix)]
mod systemd;
#[cfg(feature = "gateway")]
mod upstream;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use poolgate_server::{
    Settings,
    settings::{DatabaseUrl, mask},
};

use self::reload::ReadAgain;
use crate::settings::{self, Flag, Overrides, Profile};

/// Where the demo keeps its data unless a database is named.
const DEMO_DATABASE: &str = "sqlite://poolgate-demo.db";

/// Keep a database at its peak when demand exceeds what its connection pool can serve.
#[derive(Debug, Parser)]
#[command(name = "poolgate", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve(Serve),
    /// Run the server with the sample app and data of its own
    Demo(Demo),
    /// Check the settings, report wrong and unwise values, and exit
    CheckConfig(Sources),
    /// Print the settings, secrets hidden, and exit
    PrintConfig(PrintConfig),
    /// Ask a running server whether it is ready; for container health checks
    Healthcheck(Healthcheck),
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    sources: Sources,
    /// Like `poolgate print-config`
    #[arg(long)]
    print_config: bool,
    /// Like `poolgate check-config`
    #[arg(long, conflicts_with = "print_config")]
    check_config: bool,
}

#[derive(Debug, Args)]
struct Demo {
    #[command(flatten)]
    place: Place,
    /// The database: postgres://… or sqlite://…; without one the demo makes a file
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Apply a preset
    #[arg(long)]
    profile: Option<Profile>,
    /// Serve the operations page from this folder instead of the embedded one
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PrintConfig {
    #[command(flatten)]
    sources: Sources,
    /// Explain each setting, and comment those out that have their default: a settings file to begin with
    #[arg(long)]
    explain: bool,
}

/// Where the settings come from.
#[derive(Clone, Debug, Args)]
struct Sources {
    #[command(flatten)]
    place: Place,
    /// The database: postgres://… or sqlite://…; DATABASE_URL is read too, and keeps a password out of the process list
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Watch the database of apps in any language instead of having a pool: pgbouncer://user@host:6432/DATABASE,
    /// postgres://user@host/DATABASE, haproxy:///admin.sock?backend=NAME or metrics+http://host:port/metrics;
    /// POOLGATE_WATCH__URL keeps a password out of the process list
    #[arg(long, value_name = "URL", conflicts_with_all = ["database_url", "demo"])]
    watch: Option<String>,
    /// Stand in front of an app in any language instead of having a pool: http://host:port or unix:/path. With --watch
    /// the source says how the database is
    #[arg(long, value_name = "URL", conflicts_with_all = ["database_url", "demo"])]
    upstream: Option<String>,
    /// Apply a preset
    #[arg(long)]
    profile: Option<Profile>,
    /// Serve the sample app with data of its own
    #[arg(long)]
    demo: bool,
    /// Serve the operations page from this folder instead of the embedded one
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Healthcheck {
    #[command(flatten)]
    place: Place,
}

/// Where the settings are, and where the server listens.
#[derive(Clone, Debug, Args)]
struct Place {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", env = "POOLGATE_CONFIG_FILE", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Address and port of the server
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<String>,
    /// Port of the server, at the loopback address; 0 lets the system choose
    #[arg(long, value_name = "N", conflicts_with = "bind")]
    port: Option<u16>,
}

impl Cli {
    /// Reads the command line. If it is wrong, the process ends with a message. The message repeats plain words only,
    /// because a URL in the wrong place may hold a password.
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
    /// What stopped it, and what to do about it.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.serve.run().await,
            Some(Command::Serve(serve)) => serve.run().await,
            Some(Command::Demo(demo)) => demo.sources().serve().await,
            Some(Command::CheckConfig(sources)) => sources.check(),
            Some(Command::PrintConfig(PrintConfig { sources, explain })) => sources.print(explain),
            Some(Command::Healthcheck(Healthcheck { place })) => {
                let overrides = Overrides { profile: None, flags: place.flags() };
                let Settings { server, upstream, .. } = load(place.config.as_deref(), &overrides)?;
                // On a gateway's public address `/readyz` is the app's.
                healthcheck::ask(if upstream.url.is_some() { server.admin_bind } else { server.bind }).await
            }
        }
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        if self.print_config {
            return self.sources.print(false);
        }
        if self.check_config {
            return self.sources.check();
        }
        self.sources.serve().await
    }
}

impl Demo {
    fn sources(self) -> Sources {
        let Self { place, database_url, profile, www } = self;
        Sources { place, database_url, profile, www, demo: true, watch: None, upstream: None }
    }
}

impl Sources {
    async fn serve(self) -> anyhow::Result<()> {
        let settings = self.settings()?;
        // Without a file there is nothing that could have changed.
        let again = self.place.config.is_some().then(|| -> ReadAgain { Box::new(move || self.settings()) });
        run::serve(settings, again).await
    }

    fn print(&self, explain: bool) -> anyhow::Result<()> {
        let settings = self.settings()?;
        print!("{}", if explain { settings::explained(&settings) } else { settings::to_toml(&settings) });
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        let advice = settings::advice(&self.settings()?);
        println!("{}", if advice.is_empty() { "The settings are fine." } else { "The settings are possible, but:" });
        for advice in advice {
            println!("- {advice}");
        }
        Ok(())
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = load(self.place.config.as_deref(), &self.overrides()?)?;
        if settings.demo.enabled && settings.database.url.is_none() {
            settings.database.url = Some(DatabaseUrl::new(DEMO_DATABASE)?);
        }
        Ok(settings)
    }

    fn overrides(&self) -> anyhow::Result<Overrides> {
        let mut flags = self.place.flags();
        let mut set = |name, key, value: &str| flags.push(Flag { name, key, value: value.to_owned() });
        if let Some(url) = &self.database_url {
            set("--database-url", "database.url", url);
        }
        if let Some(url) = &self.watch {
            set("--watch", "watch.url", url);
        }
        if let Some(url) = &self.upstream {
            set("--upstream", "upstream.url", url);
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

impl Place {
    fn flags(&self) -> Vec<Flag> {
        let bind = self.bind.as_ref().map(|bind| ("--bind", bind.clone()));
        let port = self.port.map(|port| ("--port", format!("127.0.0.1:{port}")));
        let flags = [bind, port].into_iter().flatten();
        flags.map(|(name, value)| Flag { name, key: "server.bind", value }).collect()
    }
}

/// The settings from the file, this process's environment, and flags.
fn load(file: Option<&Path>, overrides: &Overrides) -> anyhow::Result<Settings> {
    // A variable that is not Unicode is none of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = environment.filter(|(name, _)| name != "POOLGATE_CONFIG_FILE");
    Ok(settings::load(file, environment, overrides)?)
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        for line in ["poolgate --demo --port 0", "poolgate serve --demo --port 0"] {
            let cli = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let serve = match cli.command {
                None => cli.serve,
                Some(Command::Serve(serve)) => serve,
                Some(_) => panic!("{line}"),
            };
            assert!(serve.sources.demo && serve.sources.place.port == Some(0), "{line}");
        }
    }

    #[test]
    fn each_command_has_its_own_flags() {
        for line in [
            "poolgate healthcheck --demo",
            "poolgate healthcheck --database-url sqlite::memory:",
            "poolgate healthcheck --print-config",
            "poolgate demo --watch postgres://h/d",
            "poolgate demo --demo",
            "poolgate check-config --explain",
            "poolgate print-config --check-config",
        ] {
            assert_eq!(parse(line).expect_err(line).kind(), ErrorKind::UnknownArgument, "{line}");
        }
        assert_eq!(parse("poolgate --demo healthcheck").expect_err("mixed").kind(), ErrorKind::ArgumentConflict);
        for line in [
            "poolgate healthcheck",
            "poolgate healthcheck --port 8000",
            "poolgate serve --print-config",
            "poolgate --check-config",
            "poolgate demo --port 0",
            "poolgate check-config --watch postgres://h/d",
            "poolgate print-config --explain --demo",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }
}
