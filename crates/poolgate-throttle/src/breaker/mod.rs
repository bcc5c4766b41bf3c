//! The circuit breaker: the server's verdict and this client's own evidence.
//!
//! The server's verdict comes with the config and is about the database. It may be the verdict of one server among several,
//! of which the others cannot be heard while nothing is sent: so a client sends a probe now and then all the same.
//!
//! Local evidence is about contact: five requests in a row without any, over at least a second and within a minute, and the
//! server does not answer this client's own question either. As long as it does, it is a path that fails, and no reason to
//! hold back the others. Once open, one probe goes out after a second, and after each failed one at a random moment of twice
//! as long a time as before, up to a minute (full jitter: Brooker, "Exponential backoff and jitter", AWS Architecture Blog,
//! 2015). Any answer closes it.
//!
//! Everything is decided when somebody asks, by comparing times: there is no timer that a sleeping tab could miss, and
//! a probe that gets no answer counts as failed after ten seconds, so half-open always ends.

use std::time::Duration;

use poolgate_types::{
    CircuitState, ConfigVersion,
    rng::{Rng, mix, to_unit},
};

use crate::{Outcome, request::PermitKind, span::scaled};

/// So many requests in a row without contact raise the question whether the server is there …
const FAILURES: u32 = 5;
/// … if the first and the last of them are at least this far apart (a page that loads fails all at once) …
const LEAST_SPAN: Duration = Duration::from_secs(1);
/// … and at most this far (what failed before a laptop slept says nothing now).
const GREATEST_SPAN: Duration = Duration::from_secs(60);
/// From opening to the first probe.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// While the server's verdict is open, a client sends its first probe within this time after the moment that the server has
/// named, and the next ones at random moments of twice as long a time each.
const FIRST_SPREAD: Duration = Duration::from_secs(10);
/// The most that the wait for a probe grows to.
const GREATEST_BACKOFF: Duration = Duration::from_secs(60);
/// A probe without an answer counts as failed after this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Closed,
    Open { retry_after: Duration },
    HalfOpen { fraction: f64 },
}

/// Whether a request may be sent, as far as the breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Flow,
    /// Yes, as the one that finds out.
    Probe,
    /// Not before the probe in flight has ended.
    Wait,
    Refuse {
        retry_after: Duration,
    },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    seed: u64,
    server: Server,
    /// When to probe a server that does not let anybody; from its first word until it is closed.
    own_probes: Option<OwnProbes>,
    local: Local,
    probe: Option<Probe>,
    probes_sent: u64,
}

/// The server's verdict as it concerns this client.
#[derive(Clone, Copy, Debug)]
enum Server {
    Closed,
    Open {
        retry_at: Duration,
    },
    /// The server lets a share of its clients send one request at a time.
    HalfOpen {
        chosen: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct OwnProbes {
    next_at: Duration,
    spread: Duration,
}

/// This client's own evidence.
#[derive(Clone, Copy, Debug)]
enum Local {
    Closed {
        failures: u32,
        first: Duration,
        voice: Voice,
    },
    Open {
        probe_at: Duration,
        backoff: Duration,
        /// The server has been heard since.
        heard: bool,
        /// Not for lack of contact: the server's open verdict outlived its config.
        lapsed: bool,
    },
}

/// The server's own, while requests fail.
#[derive(Clone, Copy, Debug)]
enum Voice {
    /// Nobody has asked yet.
    Unasked,
    /// Somebody must ask.
    Due,
    /// Somebody asks.
    Asked,
    /// It did not answer.
    Silent,
}

/// The one request that finds out.
#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u64,
    deadline: Duration,
}

impl Breaker {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, server: Server::Closed, own_probes: None, local: Local::CLOSED, probe: None, probes_sent: 0 }
    }

    /// The server's verdict arrives with a config.
    pub(crate) fn judge(&mut self, verdict: Verdict, at: ConfigVersion, now: Duration, rng: &mut Rng) {
        self.own_probes = match verdict {
            Verdict::Closed => None,
            Verdict::Open { .. } | Verdict::HalfOpen { .. } if self.own_probes.is_some() => self.own_probes,
            Verdict::Open { retry_after } => {
                let next_at = now.saturating_add(retry_after).saturating_add(scaled(FIRST_SPREAD, rng.unit()));
                Some(OwnProbes { next_at, spread: FIRST_SPREAD })
            }
            Verdict::HalfOpen { .. } => None,
        };
        self.server = match verdict {
            Verdict::Closed => Server::Closed,
            Verdict::Open { retry_after } => Server::Open { retry_at: now.saturating_add(retry_after) },
            Verdict::HalfOpen { fraction } => Server::HalfOpen { chosen: self.is_chosen(fraction, at) },
        };
        if let Local::Open { lapsed: true, .. } = self.local {
            self.local = Local::CLOSED;
        }
    }

    /// The config that brought the verdict went stale at `expired`: a verdict other than closed holds no longer, and
    /// one probe at a random moment of the next second finds out for this client.
    pub(crate) fn lapse(&mut self, expired: Duration, rng: &mut Rng) {
        if matches!(self.server, Server::Closed) {
            return;
        }
        self.server = Server::Closed;
        self.own_probes = None;
        if let Local::Closed { .. } = self.local {
            let probe_at = expired.saturating_add(scaled(FIRST_PROBE, rng.unit()));
            self.local = Local::Open { probe_at, backoff: FIRST_PROBE, heard: false, lapsed: true };
        }
    }

    /// Whether a request may be sent.
    pub(crate) fn admission(&mut self, now: Duration, rng: &mut Rng) -> Admission {
        self.give_up_probe(now, rng);
        let refuse_until = |at: Duration| Admission::Refuse { retry_after: at.saturating_sub(now).max(FIRST_PROBE) };
        match (self.server, self.local, self.probe) {
            (Server::Open { .. }, _, None) if self.own_probes.is_some_and(|own| own.next_at <= now) => Admission::Probe,
            (Server::Open { retry_at }, ..) => refuse_until(retry_at),
            (Server::HalfOpen { chosen: false }, ..) => refuse_until(now),
            (_, Local::Open { .. }, Some(probe)) => refuse_until(probe.deadline),
            (_, Local::Open { probe_at, .. }, None) if probe_at > now => refuse_until(probe_at),
            (_, Local::Open { .. }, None) | (Server::HalfOpen { .. }, _, None) => Admission::Probe,
            (Server::HalfOpen { .. }, _, Some(_)) => Admission::Wait,
            (Server::Closed, ..) => Admission::Flow,
        }
    }

    /// A request starts as a probe; its permit carries the number.
    pub(crate) fn start_probe(&mut self, now: Duration, rng: &mut Rng) -> u64 {
        if let (Server::Open { .. }, Some(OwnProbes { next_at, spread })) = (self.server, &mut self.own_probes) {
            *spread = spread.saturating_mul(2).min(GREATEST_BACKOFF);
            *next_at = now.saturating_add(scaled(*spread, rng.unit()));
        }
        self.probes_sent = self.probes_sent.wrapping_add(1);
        self.probe = Some(Probe { number: self.probes_sent, deadline: now.saturating_add(PROBE_TIMEOUT) });
        self.probes_sent
    }

    /// A request ended.
    pub(crate) fn learn(&mut self, kind: PermitKind, outcome: Outcome, now: Duration, rng: &mut Rng) {
        self.give_up_probe(now, rng);
        let probed = self.probe.is_some_and(|probe| kind == PermitKind::Probe(probe.number));
        if probed {
            self.probe = None;
        }
        match outcome {
            Outcome::Success | Outcome::Rejected { .. } => self.local = Local::CLOSED,
            Outcome::Failure => {
                if probed {
                    self.back_off(now, rng);
                }
                self.count_failure(now);
                self.weigh_evidence(now);
            }
            Outcome::Aborted => {}
        }
    }

    /// The config route did not answer. It adds to the evidence but never opens the breaker by itself: an app whose
    /// requests succeed must not be blocked because something blocks ours.
    pub(crate) fn no_contact(&mut self, now: Duration) {
        let asked = matches!(self.local, Local::Closed { voice: Voice::Asked, .. });
        self.count_failure(now);
        if let Local::Closed { voice, .. } = &mut self.local {
            *voice = Voice::Silent;
        }
        if asked {
            self.weigh_evidence(now);
        }
    }

    /// The config route answered: requests that have failed are evidence about themselves. Where it is open, the next probe
    /// comes soon, and is the last one.
    pub(crate) fn heard(&mut self, now: Duration, rng: &mut Rng) {
        match &mut self.local {
            Local::Closed { .. } => self.local = Local::CLOSED,
            Local::Open { probe_at, heard, .. } => {
                *probe_at = (*probe_at).min(now.saturating_add(scaled(FIRST_PROBE, rng.unit())));
                *heard = true;
            }
        }
    }

    /// Whether somebody must ask if the server is there; `true` once each time.
    pub(crate) fn asks(&mut self) -> bool {
        match &mut self.local {
            Local::Closed { voice: voice @ Voice::Due, .. } => {
                *voice = Voice::Asked;
                true
            }
            _ => false,
        }
    }

    /// The state for people: the worse of the server's and this client's. A stale verdict that has not
    /// [lapsed](Self::lapse) yet, because nobody has asked, is about to be probed.
    pub(crate) fn state(&self, now: Duration, stale: bool) -> CircuitState {
        match (self.server, self.local) {
            (Server::Open { .. }, _) if stale || self.probe.is_some() => CircuitState::HalfOpen,
            (Server::Open { .. }, _) => CircuitState::Open,
            (_, Local::Open { probe_at, .. }) if self.probe.is_none() && probe_at > now => CircuitState::Open,
            (Server::HalfOpen { .. }, _) | (_, Local::Open { .. }) => CircuitState::HalfOpen,
            (Server::Closed, Local::Closed { .. }) => CircuitState::Closed,
        }
    }

    /// While the answer is [`Admission::Wait`]: when that ends at the latest.
    pub(crate) fn waits_until(&self) -> Option<Duration> {
        match (self.server, self.local, self.probe) {
            (Server::HalfOpen { chosen: true }, Local::Closed { .. }, Some(probe)) => Some(probe.deadline),
            _ => None,
        }
    }

    /// The choice is the same for everyone who knows seed and version, and another one for every version.
    fn is_chosen(&self, fraction: f64, at: ConfigVersion) -> bool {
        to_unit(mix(self.seed ^ mix(at.epoch ^ mix(at.version)))) < fraction
    }

    fn give_up_probe(&mut self, now: Duration, rng: &mut Rng) {
        if let Some(probe) = self.probe
            && probe.deadline <= now
        {
            self.probe = None;
            self.back_off(probe.deadline, rng);
        }
    }

    /// A probe failed at `at`. One that the server had asked for, without local evidence, changes nothing here.
    fn back_off(&mut self, at: Duration, rng: &mut Rng) {
        if let Local::Open { heard: true, lapsed: false, .. } = self.local {
            self.local = Local::CLOSED;
        } else if let Local::Open { probe_at, backoff, lapsed, .. } = &mut self.local {
            *backoff = backoff.saturating_mul(2).min(GREATEST_BACKOFF);
            *probe_at = at.saturating_add(scaled(*backoff, rng.unit()));
            *lapsed = false;
        }
    }

    fn count_failure(&mut self, now: Duration) {
        if let Local::Closed { failures, first, voice } = &mut self.local {
            if *failures == 0 || now.saturating_sub(*first) > GREATEST_SPAN {
                (*failures, *first, *voice) = (0, now, Voice::Unasked);
            }
            *failures = failures.saturating_add(1);
        }
    }

    /// Opens when nobody answers, and asks before.
    fn weigh_evidence(&mut self, now: Duration) {
        let Local::Closed { failures, first, voice } = &mut self.local else { return };
        if *failures < FAILURES || now.saturating_sub(*first) < LEAST_SPAN {
            return;
        }
        match voice {
            Voice::Unasked => *voice = Voice::Due,
            Voice::Due | Voice::Asked => {}
            Voice::Silent => {
                let probe_at = now.saturating_add(FIRST_PROBE);
                self.local = Local::Open { probe_at, backoff: FIRST_PROBE, heard: false, lapsed: false };
            }
        }
    }
}

impl Local {
    const CLOSED: Self = Self::Closed { failures: 0, first: Duration::ZERO, voice: Voice::Unasked };
}

#[cfg(test)]
mod tests;
