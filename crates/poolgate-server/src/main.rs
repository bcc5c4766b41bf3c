//! The `poolgate` server.

use std::process::ExitCode;

use clap::Parser;
use poolgate_server::{Cli, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init_logs();
    match cli.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poolgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
