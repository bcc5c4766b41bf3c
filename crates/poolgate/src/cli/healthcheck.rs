//! Asks a running server whether it is ready.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use poolgate_types::routes;

use crate::address::reachable;

/// Time limit for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum number of bytes read from the answer.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Succeeds if the server that listens on `bind` is ready.
pub(super) async fn ask(bind: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(bind);
    let (ready, answer) =
        tokio::time::timeout(PATIENCE, get(address)).await.with_context(|| format!("{address} does not answer"))??;
    if !ready {
        bail!("{address} is not ready: {}", String::from_utf8_lossy(&answer));
    }
    println!("ready");
    Ok(())
}

async fn get(address: SocketAddr) -> anyhow::Result<(bool, Bytes)> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{}", routes::READYZ).parse()?;
    let response = client.get(uri).await.with_context(|| format!("no server answers on {address}"))?;
    let ready = response.status().is_success();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    Ok((ready, body.map_err(|error| anyhow::anyhow!(error))?.to_bytes()))
}
