//! What the gate learns about a request before it decides: who sends it, how urgent it is, and how long the caller
//! waits.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, header, request::Parts};
use poolgate_control::gate::{Arrival, Coverage, Crowd, Judged, OverQuota, Quota};
use poolgate_types::Priority;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{address::Sender, clients::Registry, proxies::Proxies};

/// Time in milliseconds in which the caller needs its answer. Services may send it; browsers never do.
const DEADLINE_HEADER: &str = "poolgate-deadline-ms";
/// How urgent a request is (RFC 9218).
const PRIORITY_HEADER: &str = "priority";
/// Urgencies run from 0 to 7; the default is 3. Browsers send 1 to 4 for requests that the page did not mark.
const LOW_URGENCY: u8 = 5;

/// What the app knows about its requests.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) identify: Option<Arc<Hook<String>>>,
    pub(super) classify: Option<Arc<Hook<Priority>>>,
}

pub(super) type Hook<T> = dyn Fn(&Parts) -> Option<T> + Send + Sync;

/// Recognises callers, and checks that each sends no more than its share.
#[derive(Debug)]
pub(super) struct Callers {
    hasher: RandomState,
    proxies: Arc<Proxies>,
    clients: Registry,
    max_clients_per_address: u32,
    quota: Mutex<Quota>,
}

impl Callers {
    pub(super) fn new(proxies: Arc<Proxies>, clients: Registry, max_clients_per_address: u32) -> Self {
        Self { hasher: RandomState::new(), proxies, clients, max_clients_per_address, quota: Mutex::default() }
    }

    /// Describes a request to the gate. `now` is on the gate's clock.
    ///
    /// # Errors
    ///
    /// The caller sends more than its share of the fair rate in force.
    pub(super) fn arrival(
        &self,
        parts: &Parts,
        hooks: &Hooks,
        fair_rate_per_second: Option<f64>,
        now: Duration,
    ) -> Result<Arrival, OverQuota> {
        let classified = hooks.classify.as_ref().and_then(|classify| classify(parts));
        let priority = classified.unwrap_or_else(|| priority(&parts.headers));
        let deadline = patience(&parts.headers).map(|patience| now.saturating_add(patience));
        let unknown = Arrival { priority, caller: None, clients: 1, deadline, excess: false };
        let Some((caller, crowd)) = self.caller(parts, hooks) else { return Ok(unknown) };
        let Judged { coverage, clients } = self.judge(caller, crowd, fair_rate_per_second, now)?;
        Ok(Arrival { caller: Some(caller), clients, excess: coverage == Coverage::Excess, ..unknown })
    }

    /// The caller, and the clients that it stands for. The caller is a keyed hash: small, of equal size for names of
    /// every length, and impossible to choose.
    fn caller(&self, parts: &Parts, hooks: &Hooks) -> Option<(u64, Crowd)> {
        if let Some(name) = hooks.identify.as_ref().and_then(|identify| identify(parts)) {
            // A caller that the app knows by name is told the rate by each response.
            return Some((self.hasher.hash_one(("name", name)), Crowd { counted: 1, claimed: 1, hears: true }));
        }
        let Sender { address, untrusted_proxy } = self.proxies.sender(&parts.extensions, &parts.headers)?;
        let claimed = self.clients.at(address);
        let counted = claimed.clamp(1, self.max_clients_per_address);
        // The number of clients behind an untrusted proxy is unknown.
        let crowd = Crowd { counted, claimed, hears: claimed > 0 && untrusted_proxy.is_none() };
        Some((self.hasher.hash_one(("address", address)), crowd))
    }

    /// Checks only while a fair rate is in force and, if callers are told apart by address, while any client listens.
    fn judge(
        &self,
        caller: u64,
        crowd: Crowd,
        fair_rate_per_second: Option<f64>,
        now: Duration,
    ) -> Result<Judged, OverQuota> {
        let covered = Judged { coverage: Coverage::Covered, clients: crowd.counted };
        let Some(rate) = fair_rate_per_second else { return Ok(covered) };
        if !crowd.hears && !self.clients.any_listens() {
            return Ok(covered);
        }
        let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        quota.judge(caller, rate, crowd, now)
    }
}

/// How long the caller itself will wait, if it says so.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    headers.get(DEADLINE_HEADER)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

/// Normal, or low if the request asks for it. Never higher: the header is not checked, and browsers mark most of their
/// requests as urgent, so requests without the header would come after all others.
fn priority(headers: &HeaderMap) -> Priority {
    match urgency(headers) {
        Some(LOW_URGENCY..=7) => Priority::Low,
        _ => Priority::Normal,
    }
}

/// The parameter `u` of a dictionary such as `u=5, i`.
fn urgency(headers: &HeaderMap) -> Option<u8> {
    let members = headers.get(PRIORITY_HEADER)?.to_str().ok()?.split(',');
    members.filter_map(|member| member.trim().strip_prefix("u=")).next_back()?.parse().ok()
}

/// Places for CORS preflights, with which a browser asks whether a page may send a request. They need no database and
/// pass the gate uncounted. Otherwise a page of another origin would need two permits for each request and could not
/// learn that it is rejected. The places are bounded because anything may look like a preflight; beyond the bound it is
/// an ordinary request.
#[derive(Debug)]
pub(super) struct Preflights(Arc<Semaphore>);

/// Held while a preflight is being answered.
pub(super) type PreflightPlace = OwnedSemaphorePermit;

impl Preflights {
    pub(super) fn new(limit: u32) -> Self {
        Self(Arc::new(Semaphore::new(limit as usize)))
    }

    /// A place, if the request is a preflight and a place is free.
    pub(super) fn admit(&self, request: &Parts) -> Option<PreflightPlace> {
        let has = |name| request.headers.contains_key(name);
        let is_preflight =
            request.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight { Arc::clone(&self.0).try_acquire_owned().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_step_back_and_not_forward() {
        for (header, expected) in [
            (None, Priority::Normal),
            (Some("u=0, i"), Priority::Normal),
            (Some("i"), Priority::Normal),
            (Some("u=4"), Priority::Normal),
            (Some("u=5"), Priority::Low),
            (Some("i, u=7"), Priority::Low),
            (Some("u=7, u=1"), Priority::Normal),
            (Some("u=8"), Priority::Normal),
            (Some("u=-1"), Priority::Normal),
            (Some("u=high"), Priority::Normal),
        ] {
            let value =
                header.map(|text| (http::HeaderName::from_static(PRIORITY_HEADER), text.parse().expect("ASCII")));
            assert_eq!(priority(&value.into_iter().collect()), expected, "{header:?}");
        }
    }
}
