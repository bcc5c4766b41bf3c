//! Sends one notice over HTTP.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use anyhow::{Context, bail};
use axum::body::Bytes;
use http::{Request, Uri, header, uri::PathAndQuery};
use http_body_util::Full;
use jiff::Timestamp;
use poolgate_control::Notice;
use poolgate_server::settings::{AlertFormat, AlertSettings};

use super::signature::sign;
use crate::web_client::{WebClient, web_client};

/// Time limit for the head of the answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The route of an Alertmanager that takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// A receiver.
#[derive(Debug)]
pub(super) struct Sender {
    client: WebClient,
    address: Uri,
    key: Option<Vec<u8>>,
    /// Begins the ids of this process's notices.
    prefix: String,
}

impl Sender {
    /// The receiver of the settings, if there is one.
    pub(super) fn new(settings: &AlertSettings) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.address() else { return Ok(None) };
        let address = match settings.format {
            AlertFormat::Alertmanager => below(&address, ALERTS).context("alerts.url")?,
            AlertFormat::Webhook | AlertFormat::Slack => address,
        };
        let client = web_client()?;
        let prefix = format!("msg_{:016x}", RandomState::new().hash_one(0));
        Ok(Some(Self { client, address, key: settings.key(), prefix }))
    }

    /// Sends a notice; succeeds if the receiver answers 2xx. No error repeats the address, which is a secret.
    pub(super) async fn send(&self, notice: &Notice, body: &[u8]) -> anyhow::Result<()> {
        let mut request = Request::post(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("poolgate/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            let id = format!("{}{}", self.prefix, notice.number);
            let time = Timestamp::now().as_second();
            let signature = sign(key, &id, time, body).context("the key cannot sign")?;
            request = request.header("webhook-id", id).header("webhook-timestamp", time);
            request = request.header("webhook-signature", signature);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).context("the request cannot be made")?;
        let sent = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        let response =
            sent.with_context(|| format!("no answer within {PATIENCE:?}"))?.context("it cannot be reached")?;
        if !response.status().is_success() {
            bail!("it answered {}", response.status());
        }
        Ok(())
    }
}

/// The address of a route of the server at `base`.
fn below(base: &Uri, route: &str) -> anyhow::Result<Uri> {
    let path = format!("{}{route}", base.path().trim_end_matches('/'));
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path)?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_of_an_alertmanager_follows_its_address() {
        for (base, address) in [
            ("http://alertmanager:9093", "http://alertmanager:9093/api/v2/alerts"),
            ("https://a.example/alertmanager/", "https://a.example/alertmanager/api/v2/alerts"),
        ] {
            assert_eq!(below(&base.parse().expect("a URI"), ALERTS).expect("one").to_string(), address);
        }
    }
}
