//! The `poolgate` program.

use std::process::ExitCode;

use poolgate::{Cli, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::from_command_line();
    telemetry::init_logs();
    match cli.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poolgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
