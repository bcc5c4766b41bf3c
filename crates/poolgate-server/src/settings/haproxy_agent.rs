//! `haproxy_agent.*`: telling HAProxy how many requests its servers may have in progress.

use std::net::SocketAddr;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::socket;

/// `haproxy_agent.*`: telling HAProxy how many requests its servers may have in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct HaProxyAgentSettings {
    /// Address and port that answer HAProxy's agent checks (`agent-check`) with the `maxconn` of a server. Default: none.
    #[serde(deserialize_with = "socket::deserialize_option")]
    pub bind: Option<SocketAddr>,
    /// Number of servers whose checks are answered here, those of all HAProxies together, 1 to 1,000. Each is told its part
    /// of the permits, at least 1. Default: 1.
    pub servers: u32,
}

impl Default for HaProxyAgentSettings {
    fn default() -> Self {
        Self { bind: None, servers: 1 }
    }
}
