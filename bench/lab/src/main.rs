//! The lab: how Poolgate and its rivals fare under overload, on the real thing. `cargo xtask bench overload` runs it.
//! [`gateway`] does the same for the gateway, with apps and proxies that other people made, [`replicas`] for a cluster to which
//! things happen, and [`routes`] measures what Poolgate costs an app that is not overloaded.
//!
//! Three kinds of process take part. [`mod@bench`] plans the runs, starts a private PostgreSQL and measures. For each run it
//! starts a [`server`] (an axum app with one route, which holds one of 20 PostgreSQL connections for an exponentially
//! distributed time, behind the limiter under test) on one core, together with PostgreSQL, so that turning a request away
//! costs what it costs; and a [`load`] on the other cores, whose users want things at Poisson moments whether or not they
//! get them. What the processes tell each other is in [`wire`].

mod bench;
mod cpu;
mod document;
mod fairness;
mod front;
mod gateway;
mod lifeline;
mod load;
mod machine;
mod replicas;
mod routes;
mod server;
mod table;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures overload: the same load on Poolgate and on its rivals, with axum and PostgreSQL.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench overload", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    bench: bench::Options,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The gateway beside HAProxy and nginx
    Gateway(gateway::Options),
    /// A handler behind it
    #[command(hide = true)]
    Handler(gateway::HandlerOptions),
    /// Three replicas behind HAProxy, and what happens to them
    Replicas(replicas::Options),
    /// Poolgate's routes and its gate beside bare handlers
    Routes(routes::Options),
    /// An app with both
    #[command(hide = true)]
    RoutesApp(routes::AppOptions),
    /// The server under test
    #[command(hide = true)]
    Server(server::Options),
    /// The users
    #[command(hide = true)]
    Load(load::Options),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Server(options)) => server::run(&options),
        Some(Role::Gateway(options)) => gateway::run(&options),
        Some(Role::Replicas(options)) => replicas::run(&options),
        Some(Role::Handler(options)) => gateway::run_handler(&options),
        Some(Role::Routes(options)) => routes::run(&options),
        Some(Role::RoutesApp(options)) => routes::run_app(&options),
        Some(Role::Load(options)) => load::run(&options),
        None => bench::run(&cli.bench),
    }
}
