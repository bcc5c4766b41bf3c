//! `alerts.*`: who is told of Poolgate's own alerts.

use base64::{Engine, prelude::BASE64_STANDARD};
use documented::DocumentedFields;
use http::Uri;
use poolgate_types::Severity;
use serde::{Deserialize, Serialize};

use super::{InvalidValue, Secret};

/// What Standard Webhooks puts in front of a key.
const KEY_PREFIX: &str = "whsec_";

/// `alerts.*`: who is told of Poolgate's own alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// Where alerts are sent, `http://…` or `https://…`. Hidden like a password, because anyone who knows it can send,
    /// too; better in the environment as `POOLGATE_ALERTS__URL`. Default: none; no alert is sent.
    pub url: Option<Secret>,
    /// What is sent: `webhook`, the document of Alertmanager's webhook (version 4), which many receivers read; `alertmanager`,
    /// to an Alertmanager at `alerts.url`; or `slack`, a text to an incoming webhook of Slack or a program that reads the same.
    /// Default: webhook.
    pub format: AlertFormat,
    /// The key that signs what is sent, by Standard Webhooks 1.0.0: `whsec_` and 24 to 64 bytes in Base64. Default: none, not
    /// signed.
    pub secret: Option<Secret>,
    /// The least severity that is sent: `info`, `warning` or `critical`. Default: warning.
    pub least_severity: Severity,
    /// The address of the operations page, for links. Default: none.
    pub page: Option<String>,
    /// The address under which you publish what to do: `/` and the alert's kind (docs/health.md) follow. Default:
    /// none.
    pub runbooks: Option<String>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertFormat {
    /// The document of Alertmanager's webhook, version 4.
    #[default]
    Webhook,
    /// Alerts for an Alertmanager.
    Alertmanager,
    /// A text for Slack.
    Slack,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            url: None,
            format: AlertFormat::default(),
            secret: None,
            least_severity: Severity::Warning,
            page: None,
            runbooks: None,
        }
    }
}

impl AlertSettings {
    /// The receiver's address.
    pub fn address(&self) -> Option<Uri> {
        self.url.as_ref().and_then(|url| url.expose().parse().ok())
    }

    /// The bytes of the key.
    pub fn key(&self) -> Option<Vec<u8>> {
        let text = self.secret.as_ref()?.expose();
        BASE64_STANDARD.decode(text.strip_prefix(KEY_PREFIX)?).ok()
    }

    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if self.url.is_some() && !self.address().as_ref().is_some_and(is_web) {
            let problem = "must be an address that begins with http:// or https://".to_owned();
            return Err(InvalidValue { key: "alerts.url", problem });
        }
        if self.secret.is_some() && !self.key().is_some_and(|key| (24..=64).contains(&key.len())) {
            let problem =
                "must be `whsec_` and 24 to 64 bytes in Base64: echo whsec_$(openssl rand -base64 32)".to_owned();
            return Err(InvalidValue { key: "alerts.secret", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_keys_that_can_be_used_are_accepted() {
        let with = |url: Option<&str>, secret: Option<&str>| AlertSettings {
            url: url.map(Secret::new),
            secret: secret.map(Secret::new),
            ..AlertSettings::default()
        };
        for url in ["http://127.0.0.1:9093", "https://hooks.example/T0/B0?x=y"] {
            assert_eq!(with(Some(url), None).check(), Ok(()), "{url}");
        }
        for url in ["", "hooks.example", "ftp://hooks.example", "https://", "http:/a"] {
            assert_eq!(with(Some(url), None).check().expect_err(url).key, "alerts.url");
        }
        let key = with(None, Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert_eq!((key.check(), key.key().map(|key| key.len())), (Ok(()), Some(24)));
        for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ", "whsec_!", "whsec_"] {
            assert_eq!(with(None, Some(secret)).check().expect_err(secret).key, "alerts.secret");
        }
    }
}
