//! The circuit breaker: the server's verdict and this client's own evidence.
//!
//! The verdict comes with the config and is about the database. It may be that of one server among several, and a
//! client that sends nothing cannot hear the others. So it still sends a probe now and then.
//!
//! Local evidence is about contact: five requests in a row had none, over at least a second and at most a minute, and
//! the server does not answer the client's own question either. While the server answers, only a path fails, which is
//! no reason to hold back other requests. Once open, one probe is sent after a second. After each failed probe the next
//! one follows at a random moment within twice the previous time, up to a minute (full jitter: Brooker, "Exponential
//! backoff and jitter", AWS Architecture Blog, 2015). Any answer closes the breaker.
//!
//! All decisions compare times when a caller asks, so there is no timer that a sleeping tab could miss. A probe without
//! an answer fails after ten seconds, so half-open always ends.

use std::time::Duration;

use poolgate_types::{
    CircuitState, ConfigVersion,
    rng::{Rng, mix, to_unit},
};

use crate::{
    request::{Outcome, PermitKind},
    span::scaled,
};

/// Requests in a row without contact after which the breaker asks whether the server is there …
const FAILURES: u32 = 5;
/// … if the first and the last are at least this far apart (a page that loads fails all at once) …
const LEAST_SPAN: Duration = Duration::from_secs(1);
/// … and at most this far (failures from before a laptop slept say nothing now).
const GREATEST_SPAN: Duration = Duration::from_secs(60);
/// Time from opening to the first probe.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// While the server's verdict is open: the first probe follows within this time after the server's `retry_after`, each
/// further one within twice the previous time.
const FIRST_SPREAD: Duration = Duration::from_secs(10);
/// Maximum time until the next probe.
const GREATEST_BACKOFF: Duration = Duration::from_secs(60);
/// Time after which a probe without an answer fails.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The server's verdict as the config states it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Closed,
    Open { retry_after: Duration },
    HalfOpen { fraction: f64 },
}

/// Whether the breaker lets a request start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Flow,
    /// Yes, as a probe.
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
    /// When to probe although the server's verdict is open; from the first open verdict until it is closed.
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
        /// The server has been heard since it opened.
        heard: bool,
        /// It opened because the config with the server's open verdict became stale, not for lack of contact.
        lapsed: bool,
    },
}

/// Whether the server answers the client's own question while requests fail.
#[derive(Clone, Copy, Debug)]
enum Voice {
    /// No question has been sent.
    Unasked,
    /// The question must be sent.
    Due,
    /// The question was sent.
    Asked,
    /// The server did not answer.
    Silent,
}

/// The probe in flight.
#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u64,
    deadline: Duration,
}

impl Breaker {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, server: Server::Closed, own_probes: None, local: Local::CLOSED, probe: None, probes_sent: 0 }
    }

    /// A config brings the server's verdict.
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

    /// The config with the verdict became stale at `expired`. An unclosed verdict no longer holds; one probe at a
    /// random moment of the next second replaces it.
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

    /// A request starts as a probe; returns the number for its permit.
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

    /// The config route did not answer. That adds to the evidence but never opens the breaker alone: an app whose
    /// requests succeed must not be blocked because something blocks the config route.
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

    /// The config route answered: earlier failures concern only their own paths. If the breaker is open, it probes
    /// soon; if that probe fails it closes all the same.
    pub(crate) fn heard(&mut self, now: Duration, rng: &mut Rng) {
        match &mut self.local {
            Local::Closed { .. } => self.local = Local::CLOSED,
            Local::Open { probe_at, heard, .. } => {
                *probe_at = (*probe_at).min(now.saturating_add(scaled(FIRST_PROBE, rng.unit())));
                *heard = true;
            }
        }
    }

    /// Whether the caller must ask the server now; `true` once per question.
    pub(crate) fn asks(&mut self) -> bool {
        match &mut self.local {
            Local::Closed { voice: voice @ Voice::Due, .. } => {
                *voice = Voice::Asked;
                true
            }
            _ => false,
        }
    }

    /// The state for display: the worse of the server's verdict and local evidence. A stale verdict that has not
    /// [lapsed](Self::lapse) yet is about to be probed.
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

    /// The choice depends only on seed and version, and differs between versions.
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

    /// A probe failed at `at`. Without local evidence nothing changes here.
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

    /// Asks the server when enough requests had no contact, and opens if it did not answer.
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
