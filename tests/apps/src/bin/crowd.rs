//! A crowd that comes at a steady pace, whether or not it is served: `crowd http://127.0.0.1:8001/orders --per-second 300`.
//! Each request has a connection of its own, and is given up after 2 s.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use poolgate_test_apps::load;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

/// How long the app may take until it listens.
const START: Duration = Duration::from_secs(30);

/// Sends requests at a steady pace, and says what became of them.
#[derive(Debug, Parser)]
struct Options {
    /// What to ask for: `http://ADDRESS:PORT/PATH`
    url: String,
    /// Requests a second, 1 to 10,000
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_second: u32,
    /// For how long, 1 to 600 s
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { url, per_second, seconds } = Options::parse();
    let (address, path) =
        parts(&url).context("the URL must be http://ADDRESS:PORT/PATH, such as http://127.0.0.1:8000/")?;
    until_it_listens(address).await?;
    println!("{}", load(address, &path, f64::from(per_second), Duration::from_secs(seconds)).await);
    Ok(())
}

fn parts(url: &str) -> Option<(SocketAddr, String)> {
    let (address, path) = url.strip_prefix("http://")?.split_once('/')?;
    Some((address.parse().ok()?, format!("/{path}")))
}

async fn until_it_listens(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(begun.elapsed() < START, "nothing listens on {address}");
        time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
