//! The servers behind one name, and the choice of the one to obey.
//!
//! An epoch identifies one run of one server. Replicas without a shared store have different epochs, and a load
//! balancer spreads the requests over them. Each server speaks only for itself: a server that is busy or has lost its
//! database is no reason to hold requests back from the others. The client therefore obeys the server that allows the
//! most, and the gates of the others reject the rest.
//!
//! A server counts until its config is stale or until [`PATIENCE`] messages of others have arrived without one of its
//! own. The first message of a new epoch replaces the config of a single server, even if the new epoch is lower,
//! because clocks are set back. It does not if the new server has no database: it may be a failing replica beside a
//! healthy one.

use std::time::Duration;

use poolgate_types::ConfigVersion;

use crate::{
    breaker::Verdict,
    limits::{Limits, Policy},
    news::{Configured, InvalidConfig, News},
    stale,
};

/// Messages of others after which a silent server no longer counts, until it is heard again.
const PATIENCE: u32 = 8;
/// Maximum number of remembered servers; the one silent for longest is dropped.
const MOST: usize = 8;

/// The last config of each server.
#[derive(Debug)]
pub(crate) struct Servers(Vec<ServerConfig>);

/// The config of one server and its time to live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerConfig {
    pub(crate) policy: Policy,
    pub(crate) expires_at: Duration,
    /// Stale, and gated requests succeed without a config: its limits no longer act.
    released: bool,
    /// Messages of others since its own last one.
    silent_for: u32,
}

impl Servers {
    /// Starts with the first config of all.
    pub(crate) fn new(policy: Policy, now: Duration) -> Self {
        Self(vec![ServerConfig::new(policy, now)])
    }

    /// The config to obey: the one that allows the most among those that count; if none counts, the last one heard.
    pub(crate) fn obeyed(&self, now: Duration) -> Option<&ServerConfig> {
        // Usually there is only one, and each request asks several times.
        if let [only] = self.0.as_slice() {
            return Some(only);
        }
        let mut obeyed: Option<(&ServerConfig, f64)> = None;
        for server in &self.0 {
            let rank = server.rank(now);
            // Of equals the younger one, so that the choice does not depend on the order of messages.
            if obeyed.is_none_or(|(best, most)| rank > most || (rank == most && server.policy.at > best.policy.at)) {
                obeyed = Some((server, rank));
            }
        }
        obeyed.map(|(server, _)| server)
    }

    /// Epoch of the server that was heard last.
    pub(crate) fn last_heard(&self) -> Option<u64> {
        self.0.iter().find(|server| server.silent_for == 0).map(|server| server.policy.at.epoch)
    }

    /// Whether another server than this one counts and takes requests.
    pub(crate) fn others_take(&self, epoch: u64, now: Duration) -> bool {
        self.0.iter().any(|server| server.policy.at.epoch != epoch && server.rank(now) >= 0.0)
    }

    /// Records news.
    pub(crate) fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let before = self.obeyed(now).map(ServerConfig::version);
        let at = match news {
            News::Config(config) => self.hear(Policy::from_config(config)?, now),
            News::Header(header) => {
                let known = self.of(header.at.epoch).map(|server| server.policy);
                let known = known.or_else(|| self.obeyed(now).map(|server| server.policy));
                self.hear(Policy::from_header(header, known.as_ref())?, now)
            }
            News::Current(at) => match self.of(at.epoch) {
                Some(server) if *at <= server.policy.at => {
                    server.confirm(*at, now);
                    self.note_word(*at)
                }
                _ => return Ok(Configured::Missed),
            },
            News::HeaderMissing => return Ok(self.release(now)),
            News::NoContact | News::NotFound | News::Closed => return Ok(Configured::Unchanged),
        };
        let after = self.obeyed(now).map(ServerConfig::version);
        Ok(if after != before {
            Configured::Applied
        } else if after.is_some_and(|(after, _)| at < after) {
            Configured::Older
        } else {
            Configured::Unchanged
        })
    }

    /// Gated requests succeed without a config: releases the limits if they are stale.
    fn release(&mut self, now: Duration) -> Configured {
        let obeyed = self.obeyed(now).map(|server| server.policy.at.epoch);
        if let Some(server) = obeyed.and_then(|epoch| self.of(epoch))
            && server.is_stale(now)
            && server.is_enforced()
        {
            server.released = true;
            return Configured::Applied;
        }
        Configured::Unchanged
    }

    /// A server has sent this config.
    fn hear(&mut self, policy: Policy, now: Duration) -> ConfigVersion {
        let at = policy.at;
        if let Some(server) = self.of(at.epoch) {
            server.hear(policy, now);
        } else {
            let counting = self.0.iter().filter(|server| server.counts(now)).count();
            if policy.verdict == Verdict::Closed && counting < 2 {
                self.0.iter_mut().for_each(|server| server.silent_for = server.silent_for.saturating_add(PATIENCE));
            }
            if self.0.len() >= MOST {
                let longest = self.0.iter().map(|server| server.silent_for).max();
                self.0.retain(|server| Some(server.silent_for) != longest);
            }
            self.0.push(ServerConfig::new(policy, now));
        }
        self.note_word(at)
    }

    /// Counts a message of this server.
    fn note_word(&mut self, at: ConfigVersion) -> ConfigVersion {
        for server in &mut self.0 {
            server.silent_for =
                if server.policy.at.epoch == at.epoch { 0 } else { server.silent_for.saturating_add(1) };
        }
        at
    }

    fn of(&mut self, epoch: u64) -> Option<&mut ServerConfig> {
        self.0.iter_mut().find(|server| server.policy.at.epoch == epoch)
    }
}

impl ServerConfig {
    fn new(policy: Policy, now: Duration) -> Self {
        Self { policy, expires_at: now.saturating_add(policy.ttl), released: false, silent_for: 0 }
    }

    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        now >= self.expires_at
    }

    /// Its limits act.
    pub(crate) const fn is_enforced(&self) -> bool {
        self.policy.enforced && !self.released
    }

    /// When the limits change without news.
    pub(crate) fn next_change(&self, now: Duration) -> Option<Duration> {
        if !self.is_stale(now) {
            return Some(self.expires_at);
        }
        if self.is_enforced() { stale::next_step(now.saturating_sub(self.expires_at), now) } else { None }
    }

    /// A config that limits nothing does not decay when it is stale.
    pub(crate) fn limits_at(&self, now: Duration) -> Limits {
        match (self.is_enforced(), self.is_stale(now)) {
            (false, _) => Limits::default(),
            (true, false) => self.policy.limits,
            (true, true) => stale::decayed(&self.policy.limits, now.saturating_sub(self.expires_at)),
        }
    }

    fn counts(&self, now: Duration) -> bool {
        self.silent_for < PATIENCE && !self.is_stale(now)
    }

    /// Orders configs by what they allow: requests per second; below them an unclosed breaker; below that a server that
    /// does not count, lower the longer it has been silent.
    fn rank(&self, now: Duration) -> f64 {
        match self.policy.verdict {
            _ if !self.counts(now) => -3.0 - f64::from(self.silent_for),
            Verdict::Open { .. } => -2.0,
            Verdict::HalfOpen { .. } => -1.0,
            Verdict::Closed => self.policy.limits.rate_per_second.unwrap_or(f64::INFINITY),
        }
    }

    /// Version of the config, and whether it came as a header.
    const fn version(&self) -> (ConfigVersion, bool) {
        (self.policy.at, self.policy.partial)
    }

    /// Keeps the higher version; the document of a known header completes it.
    fn hear(&mut self, policy: Policy, now: Duration) {
        let completes = policy.at == self.policy.at && self.policy.partial && !policy.partial;
        if policy.at > self.policy.at || completes {
            *self = Self::new(policy, now);
        } else {
            self.confirm(policy.at, now);
        }
    }

    /// The server has named a version: restarts the time to live if it is the known one.
    fn confirm(&mut self, at: ConfigVersion, now: Duration) {
        if at == self.policy.at {
            self.expires_at = self.expires_at.max(now.saturating_add(self.policy.ttl));
            self.released = false;
        }
    }
}
