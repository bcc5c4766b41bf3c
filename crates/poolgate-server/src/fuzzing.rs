//! What the targets in fuzz/ call and no app needs: compiled for them alone.

use std::net::IpAddr;

use http::HeaderMap;

use crate::{address, settings::Network};

/// The address of the sender of a request with these headers, which `peer` handed over.
pub fn sender(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    address::sender(peer, headers, trusted)
}
