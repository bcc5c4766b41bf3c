//! The servers behind one name, and which of them is obeyed.
//!
//! An epoch tells a server from its siblings, and each of its lives from the one before. Replicas that share no store have
//! one each, and a balancer gives every request to another of them. What a server says is about itself: that its database
//! does not answer, or that it is busy, is no reason to keep requests from the others. So the one that allows the most is
//! obeyed, and what another one cannot take is turned away by that one's own gate.
//!
//! A server counts until its config is stale, or until others have spoken some times without it. The first word of another
//! life ends what the only one before had said, whichever of the two started earlier: clocks are set back. A life that
//! begins without its database does not, as it may be a sick sibling of one that is well.

use std::time::Duration;

use poolgate_types::ConfigVersion;

use crate::{Configured, InvalidConfig, Limits, News, breaker::Verdict, limits::Policy, stale};

/// A server that others have spoken so often without does not count, until it speaks again.
const PATIENCE: u32 = 8;
/// So many servers are remembered; the one that has been silent for the longest goes.
const MOST: usize = 8;

/// What each of them has said last.
#[derive(Debug)]
pub(crate) struct Servers(Vec<Held>);

/// The config of one server and how long it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) policy: Policy,
    pub(crate) expires_at: Duration,
    /// Stale, and gated requests succeed without a config: nothing limits them any more.
    released: bool,
    /// Words of others since its own last one.
    silent_for: u32,
}

impl Servers {
    /// The first word of all.
    pub(crate) fn new(policy: Policy, now: Duration) -> Self {
        Self(vec![Held::new(policy, now)])
    }

    /// The one that is obeyed: of those that count the one that allows the most; if none does, the last that was heard.
    pub(crate) fn obeyed(&self, now: Duration) -> Option<&Held> {
        // As a rule there is but one, and this is asked several times for each request.
        if let [only] = self.0.as_slice() {
            return Some(only);
        }
        let mut obeyed: Option<(&Held, f64)> = None;
        for held in &self.0 {
            let rank = held.rank(now);
            // Of equals it is the younger one, whichever spoke last.
            if obeyed.is_none_or(|(best, most)| rank > most || (rank == most && held.policy.at > best.policy.at)) {
                obeyed = Some((held, rank));
            }
        }
        obeyed.map(|(held, _)| held)
    }

    /// The epoch of the server that was heard last.
    pub(crate) fn last_heard(&self) -> Option<u64> {
        self.0.iter().find(|held| held.silent_for == 0).map(|held| held.policy.at.epoch)
    }

    /// Whether one that counts, and is not this one, takes requests.
    pub(crate) fn others_take(&self, epoch: u64, now: Duration) -> bool {
        self.0.iter().any(|held| held.policy.at.epoch != epoch && held.rank(now) >= 0.0)
    }

    /// Takes in news.
    pub(crate) fn learn(&mut self, news: &News, now: Duration) -> Result<Configured, InvalidConfig> {
        let before = self.obeyed(now).map(Held::version);
        let at = match news {
            News::Config(config) => self.hear(Policy::from_config(config)?, now),
            News::Header(header) => {
                let known = self.of(header.at.epoch).map(|held| held.policy);
                let known = known.or_else(|| self.obeyed(now).map(|held| held.policy));
                self.hear(Policy::from_header(header, known.as_ref())?, now)
            }
            News::Current(at) => match self.of(at.epoch) {
                Some(held) if *at <= held.policy.at => {
                    held.confirm(*at, now);
                    self.note_word(*at)
                }
                _ => return Ok(Configured::Missed),
            },
            News::HeaderMissing => return Ok(self.release(now)),
            News::NoContact | News::NotFound | News::Closed => return Ok(Configured::Unchanged),
        };
        let after = self.obeyed(now).map(Held::version);
        Ok(if after != before {
            Configured::Applied
        } else if after.is_some_and(|(after, _)| at < after) {
            Configured::Older
        } else {
            Configured::Unchanged
        })
    }

    /// Gated requests succeed without a config: where it is stale, there is nothing to obey any more.
    fn release(&mut self, now: Duration) -> Configured {
        let obeyed = self.obeyed(now).map(|held| held.policy.at.epoch);
        if let Some(held) = obeyed.and_then(|epoch| self.of(epoch))
            && held.is_stale(now)
            && held.is_enforced()
        {
            held.released = true;
            return Configured::Applied;
        }
        Configured::Unchanged
    }

    /// A server has said this.
    fn hear(&mut self, policy: Policy, now: Duration) -> ConfigVersion {
        let at = policy.at;
        if let Some(held) = self.of(at.epoch) {
            held.hear(policy, now);
        } else {
            let counting = self.0.iter().filter(|held| held.counts(now)).count();
            if policy.verdict == Verdict::Closed && counting < 2 {
                self.0.iter_mut().for_each(|held| held.silent_for = held.silent_for.saturating_add(PATIENCE));
            }
            if self.0.len() >= MOST {
                let longest = self.0.iter().map(|held| held.silent_for).max();
                self.0.retain(|held| Some(held.silent_for) != longest);
            }
            self.0.push(Held::new(policy, now));
        }
        self.note_word(at)
    }

    /// Counts a word of this server.
    fn note_word(&mut self, at: ConfigVersion) -> ConfigVersion {
        for held in &mut self.0 {
            held.silent_for = if held.policy.at.epoch == at.epoch { 0 } else { held.silent_for.saturating_add(1) };
        }
        at
    }

    fn of(&mut self, epoch: u64) -> Option<&mut Held> {
        self.0.iter_mut().find(|held| held.policy.at.epoch == epoch)
    }
}

impl Held {
    fn new(policy: Policy, now: Duration) -> Self {
        Self { policy, expires_at: now.saturating_add(policy.ttl), released: false, silent_for: 0 }
    }

    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        now >= self.expires_at
    }

    /// Limits act.
    pub(crate) const fn is_enforced(&self) -> bool {
        self.policy.enforced && !self.released
    }

    /// When the limits will be others though nothing is heard.
    pub(crate) fn next_change(&self, now: Duration) -> Option<Duration> {
        if !self.is_stale(now) {
            return Some(self.expires_at);
        }
        if self.is_enforced() { stale::next_step(now.saturating_sub(self.expires_at), now) } else { None }
    }

    /// A config that limits nothing has nothing to move when it goes stale.
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

    /// What it allows, to compare: requests per second, less than none where the breaker is not closed, and least where it
    /// does not count, the longer it has been silent the less.
    fn rank(&self, now: Duration) -> f64 {
        match self.policy.verdict {
            _ if !self.counts(now) => -3.0 - f64::from(self.silent_for),
            Verdict::Open { .. } => -2.0,
            Verdict::HalfOpen { .. } => -1.0,
            Verdict::Closed => self.policy.limits.rate_per_second.unwrap_or(f64::INFINITY),
        }
    }

    /// The config, and whether it was but a header's.
    const fn version(&self) -> (ConfigVersion, bool) {
        (self.policy.at, self.policy.partial)
    }

    /// The higher version holds, and the document adds to its own header.
    fn hear(&mut self, policy: Policy, now: Duration) {
        let completes = policy.at == self.policy.at && self.policy.partial && !policy.partial;
        if policy.at > self.policy.at || completes {
            *self = Self::new(policy, now);
        } else {
            self.confirm(policy.at, now);
        }
    }

    /// The server has named a version: the known one starts its time to live again.
    fn confirm(&mut self, at: ConfigVersion, now: Duration) {
        if at == self.policy.at {
            self.expires_at = self.expires_at.max(now.saturating_add(self.policy.ttl));
            self.released = false;
        }
    }
}
