//! The first command for new users: Poolgate with its page on real data. It needs only Rust.

use std::env;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::example;
use crate::http;
use crate::page;
use crate::process::{find, run as run_command};
use crate::project::Project;
use crate::server;

/// How long the browser opener waits for the server; the first start creates the demo data.
const PATIENCE: Duration = Duration::from_secs(120);

/// `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Use another database than the embedded SQLite in poolgate-demo.db, such as postgres://localhost/demo
    #[arg(long)]
    database_url: Option<String>,
    /// `before`: the settings of the original system before it was tuned
    #[arg(long)]
    profile: Option<String>,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
}

/// Builds what is outdated, then becomes the server.
pub(crate) fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    let www = page::from_disk(project)?;
    let binary = server::build_without_gateway(project)?;
    let mut server = project.command(binary);
    server.args(["--demo", "--port", &options.port.to_string(), "--www"]).arg(www);
    if let Some(url) = &options.database_url {
        server.args(["--database-url", url]);
    }
    if let Some(profile) = &options.profile {
        server.args(["--profile", profile]);
    }
    if options.port == 0 {
        println!("Starting Poolgate on a free port (Ctrl-C stops it)");
    } else {
        println!("Starting Poolgate: http://127.0.0.1:{} (Ctrl-C stops it)", options.port);
        for path in example::built(project) {
            println!("  an example: http://127.0.0.1:{}/{path}", options.port);
        }
        if !options.no_open && browser_opener().is_some() {
            let mut opener = Command::new(env::current_exe()?);
            opener.args(["open-browser", &options.port.to_string()]).stdin(Stdio::null()).spawn()?;
        }
    }
    become_server(server)
}

/// Replaces this process by the server, so that all signals reach the server and its exit status is the demo's.
#[cfg(unix)]
fn become_server(mut server: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(server.exec()).context("cannot start the server")
}

/// Waits for the server; the console sends Ctrl-C to both processes.
#[cfg(not(unix))]
fn become_server(mut server: Command) -> Result<ExitCode> {
    let status = server.status().context("cannot start the server")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// `cargo xtask open-browser`, which the demo starts in the background.
#[derive(Args)]
pub(crate) struct OpenBrowser {
    port: u16,
}

impl OpenBrowser {
    /// Waits until the server is ready, then opens its page.
    pub(crate) fn run(&self) -> Result<()> {
        let server = SocketAddr::from(([127, 0, 0, 1], self.port));
        let start = Instant::now();
        while http::request(server, "GET", "/readyz", None).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("the server did not become ready, no browser was opened");
            }
            thread::sleep(Duration::from_millis(200));
        }
        let opener =
            browser_opener().context("found no program that opens a browser; open the printed address yourself")?;
        let mut open = Command::new(opener[0]);
        run_command(open.args(&opener[1..]).arg(format!("http://{server}/")).stdout(Stdio::null()))
    }
}

/// The program that opens a page in the user's browser; `None` without a display.
fn browser_opener() -> Option<&'static [&'static str]> {
    let has_display = env::var_os("DISPLAY").or_else(|| env::var_os("WAYLAND_DISPLAY")).is_some();
    if !std::io::stdout().is_terminal() {
        None
    } else if cfg!(target_os = "macos") {
        Some(&["open"])
    } else if cfg!(windows) {
        Some(&["cmd", "/C", "start", ""])
    } else if has_display && find("xdg-open").is_some() {
        Some(&["xdg-open"])
    } else {
        None
    }
}
