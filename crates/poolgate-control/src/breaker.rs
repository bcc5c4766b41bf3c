//! The circuit breaker. It opens when the database cannot be used, never for load.
//!
//! It goes from open to half-open when its time is up or the server's own probe gets an answer; from half-open to a
//! ramp when probes succeed, otherwise back to open; at the end of the ramp it is closed. Every state but closed ends
//! by time.

use std::time::Duration;

use poolgate_types::{CircuitState, Reason, rng::Rng};

use crate::{reachability::Reachability, sample::Probes, settings::BreakerSettings};

/// The longest time for which the breaker stays open, before jitter.
const LONGEST_OPEN: Duration = Duration::from_secs(60);
/// The share by which that time is randomly shortened or lengthened.
const OPEN_JITTER: f64 = 0.25;
/// Half-open collects evidence for at least the first of these, and ends after the second.
const EVIDENCE: Duration = Duration::from_secs(1);
const LONGEST_HALF_OPEN: Duration = Duration::from_secs(10);
/// Share of the probes that must succeed, once there are enough of them.
const SUCCESS_RATIO: f64 = 0.8;
const ENOUGH_PROBES: u32 = 5;
/// Share of the clients that may send requests, in each step of the ramp.
const RAMP: [f64; 5] = [0.05, 0.10, 0.20, 0.40, 0.80];
/// A step of the ramp lasts ten mean hold times, within these bounds.
const SHORTEST_STEP: Duration = Duration::from_secs(1);
const LONGEST_STEP: Duration = Duration::from_secs(5);
const STEP_HOLDS: f64 = 10.0;
/// Share of the capacity that probes may use while the breaker is half-open.
const PROBE_SHARE: f64 = 0.05;

#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    lost_since: Option<Duration>,
    /// Why it was opened.
    lost: Reachability,
    /// Openings since the breaker was last closed.
    openings: u32,
    random: Rng,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Duration, planned: Duration },
    HalfOpen { since: Duration, seen: Probes, fraction: f64 },
    Ramp { step: usize, since: Duration, seen: Probes, floor: f64 },
}

/// The breaker's inputs besides the probes, all of the present tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) reachability: Reachability,
    /// Time since the newest failed attempt to reach the database, if that is known.
    pub(crate) failed: Option<Duration>,
    pub(crate) live_clients: u32,
    /// Capacity in requests a second, if it is known.
    pub(crate) capacity: Option<f64>,
    /// Mean hold time in seconds.
    pub(crate) mean_hold: f64,
}

/// The breaker's decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) state: CircuitState,
    pub(crate) reason: Option<Reason>,
    pub(crate) probe_fraction: Option<f64>,
    pub(crate) retry_after: Option<Duration>,
}

impl Verdict {
    pub(crate) const CLOSED: Self =
        Self { state: CircuitState::Closed, reason: None, probe_fraction: None, retry_after: None };

    /// Requests a second that the gate lets pass while the breaker is half-open, where it could serve `capacity` of
    /// them a second with `permits` at a time.
    pub(crate) fn probes_per_second(self, capacity: f64, permits: u32) -> f64 {
        match (self.state, self.probe_fraction, self.reason) {
            (CircuitState::Closed | CircuitState::Open, ..) => 0.0,
            // On the ramp clients come back step by step, and those that may send may also use the database.
            (CircuitState::HalfOpen, Some(share), Some(Reason::Recovering)) => capacity * share,
            // Requests that fail at once make the capacity look large, so there are never more probes a second than
            // permits.
            (CircuitState::HalfOpen, ..) => (capacity * PROBE_SHARE).min(f64::from(permits)).max(1.0),
        }
    }
}

impl Breaker {
    pub(crate) const fn new(settings: BreakerSettings, seed: u64) -> Self {
        let random = Rng::new(seed);
        Self { settings, state: State::Closed, lost_since: None, lost: Reachability::Silent, openings: 0, random }
    }

    pub(crate) fn update(&mut self, probes: Probes, situation: Situation, now: Duration) -> Verdict {
        let reachability = situation.reachability;
        if reachability.is_lost() {
            self.lost = reachability;
        }
        self.lost_since = match reachability {
            Reachability::Silent | Reachability::LoginRefused | Reachability::ServerFull => {
                Some(self.lost_since.unwrap_or(now))
            }
            Reachability::Answering | Reachability::Paused => None,
            Reachability::Unknown => self.lost_since,
        };
        let answers = matches!(reachability, Reachability::Answering | Reachability::Paused);
        // If the database answers, failed requests are no evidence against it.
        let are_bad = |seen: Probes| seen.are_bad() && !answers;
        let lost_for = self.lost_since.map(|since| now.saturating_sub(since));
        self.state = match self.state {
            State::Closed => match lost_for {
                Some(lost) if lost >= self.settings.open_after => self.open(now),
                _ => State::Closed,
            },
            State::Open { until, .. } if now >= until || answers => {
                let fraction = probe_fraction(situation);
                State::HalfOpen { since: now, seen: Probes::default(), fraction }
            }
            open @ State::Open { .. } => open,
            State::HalfOpen { since, seen, fraction } => {
                let seen = seen.plus(probes);
                let lasted = now.saturating_sub(since);
                let answered = seen.succeeded > 0 || answers;
                // Without an attempt since then it is unknown whether the database is back.
                let is_lost = reachability.is_lost() && situation.failed.is_none_or(|failed| failed <= lasted);
                if are_bad(seen) || (lasted >= EVIDENCE && is_lost) {
                    self.open(now)
                } else if lasted >= EVIDENCE && answered {
                    State::Ramp { step: 0, since: now, seen: Probes::default(), floor: fraction }
                } else if lasted >= LONGEST_HALF_OPEN {
                    self.open(now)
                } else {
                    State::HalfOpen { since, seen, fraction }
                }
            }
            State::Ramp { step, since, seen, floor } => {
                let seen = seen.plus(probes);
                if are_bad(seen) || lost_for.is_some_and(|lost| lost >= self.settings.open_after) {
                    self.open(now)
                } else if now.saturating_sub(since) < step_length(situation.mean_hold) {
                    State::Ramp { step, since, seen, floor }
                } else if step + 1 < RAMP.len() {
                    State::Ramp { step: step + 1, since: now, seen: Probes::default(), floor }
                } else {
                    self.openings = 0;
                    State::Closed
                }
            }
        };
        self.verdict()
    }

    fn open(&mut self, now: Duration) -> State {
        let factor = 1_u32.checked_shl(self.openings.min(16)).unwrap_or(u32::MAX);
        self.openings = self.openings.saturating_add(1);
        let planned = self.settings.open_for.saturating_mul(factor).min(LONGEST_OPEN);
        let jitter = 1.0 + OPEN_JITTER * (2.0 * self.random.unit() - 1.0);
        State::Open { until: now + planned.mul_f64(jitter), planned }
    }

    fn verdict(&self) -> Verdict {
        match self.state {
            State::Closed => Verdict::CLOSED,
            State::Open { planned, .. } => Verdict {
                state: CircuitState::Open,
                reason: Some(match self.lost {
                    Reachability::LoginRefused => Reason::LoginRefused,
                    Reachability::ServerFull => Reason::ServerFull,
                    Reachability::Unknown | Reachability::Answering | Reachability::Paused | Reachability::Silent => {
                        Reason::DatabaseUnreachable
                    }
                }),
                retry_after: Some(planned),
                ..Verdict::CLOSED
            },
            State::HalfOpen { fraction, .. } => Verdict {
                state: CircuitState::HalfOpen,
                reason: Some(Reason::Probing),
                probe_fraction: Some(fraction),
                ..Verdict::CLOSED
            },
            State::Ramp { step, floor, .. } => Verdict {
                state: CircuitState::HalfOpen,
                reason: Some(Reason::Recovering),
                probe_fraction: Some(RAMP.get(step).map_or(1.0, |share| share.max(floor))),
                ..Verdict::CLOSED
            },
        }
    }
}

impl Probes {
    const fn plus(self, more: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_add(more.succeeded),
            failed: self.failed.saturating_add(more.failed),
        }
    }

    fn are_bad(self) -> bool {
        let all = f64::from(self.succeeded) + f64::from(self.failed);
        all >= f64::from(ENOUGH_PROBES) && f64::from(self.succeeded) < SUCCESS_RATIO * all
    }
}

/// The share of the clients that may probe: at one probe a second each they send about 5 % of the capacity. Few clients
/// may all probe.
fn probe_fraction(situation: Situation) -> f64 {
    let probes_per_second = (PROBE_SHARE * situation.capacity.unwrap_or_default()).max(1.0);
    (probes_per_second / f64::from(situation.live_clients.max(1))).min(1.0)
}

fn step_length(mean_hold: f64) -> Duration {
    Duration::try_from_secs_f64(STEP_HOLDS * mean_hold).unwrap_or(LONGEST_STEP).clamp(SHORTEST_STEP, LONGEST_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        breaker: Breaker,
        now: Duration,
        live_clients: u32,
        failed: Option<Duration>,
    }

    impl World {
        fn new() -> Self {
            let breaker = Breaker::new(BreakerSettings::default(), 7);
            Self { breaker, now: Duration::ZERO, live_clients: 1000, failed: None }
        }

        fn tick(&mut self, reachability: Reachability, probes: Probes) -> Verdict {
            self.now += Duration::from_millis(100);
            let Self { live_clients, failed, .. } = *self;
            let situation = Situation { reachability, failed, live_clients, capacity: Some(400.0), mean_hold: 0.05 };
            self.breaker.update(probes, situation, self.now)
        }

        /// Ticks until the state is as wanted; returns the seconds that it took.
        fn run_until(&mut self, reachability: Reachability, probes: Probes, wanted: CircuitState) -> f64 {
            let start = self.now;
            while self.tick(reachability, probes).state != wanted {
                assert!(self.now - start < Duration::from_secs(200), "never {wanted:?}");
            }
            (self.now - start).as_secs_f64()
        }
    }

    const NONE: Probes = Probes { succeeded: 0, failed: 0 };
    const BAD: Probes = Probes { succeeded: 0, failed: 2 };

    #[test]
    fn one_failure_does_not_open_it_but_half_a_second_of_silence_does() {
        let mut world = World::new();
        for _ in 0..100 {
            assert_eq!(world.tick(Reachability::Silent, NONE).state, CircuitState::Closed);
            assert_eq!(world.tick(Reachability::Answering, NONE).state, CircuitState::Closed);
        }
        let seconds = world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        assert!((0.5..=0.7).contains(&seconds), "{seconds}");
    }

    #[test]
    fn it_recovers_by_the_servers_own_probe_when_no_client_is_there() {
        let mut world = World::new();
        world.live_clients = 0;
        world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        let verdict = world.tick(Reachability::Answering, NONE);
        assert_eq!((verdict.state, verdict.probe_fraction), (CircuitState::HalfOpen, Some(1.0)));
        let seconds = world.run_until(Reachability::Answering, NONE, CircuitState::Closed);
        assert!((5.0..=7.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn few_clients_probe_and_the_ramp_only_rises() {
        let mut world = World::new();
        world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        let mut last = 0.0;
        loop {
            let verdict = world.tick(Reachability::Answering, NONE);
            let Some(fraction) = verdict.probe_fraction else {
                break;
            };
            assert!(fraction >= last, "{fraction} after {last}");
            if last == 0.0 {
                assert!((fraction - 0.02).abs() < 1e-9, "20 probes a second of 1,000 clients");
            }
            last = fraction;
        }
        assert!((last - 0.8).abs() < 1e-9);
    }

    #[test]
    fn failing_probes_open_it_again_for_longer_each_time_up_to_the_limit() {
        let mut world = World::new();
        world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        let mut longest = 0.0_f64;
        for _ in 0..12 {
            let open = world.run_until(Reachability::Unknown, NONE, CircuitState::HalfOpen);
            world.run_until(Reachability::Unknown, BAD, CircuitState::Open);
            longest = longest.max(open);
            assert!(open <= 75.2, "{open}");
        }
        assert!(longest > 45.0, "{longest}");
    }

    #[test]
    fn every_cause_that_keeps_all_callers_out_opens_it_and_is_named() {
        for (reachability, reason) in [
            (Reachability::Silent, Reason::DatabaseUnreachable),
            (Reachability::LoginRefused, Reason::LoginRefused),
            (Reachability::ServerFull, Reason::ServerFull),
        ] {
            let mut world = World::new();
            world.run_until(reachability, NONE, CircuitState::Open);
            assert_eq!(world.breaker.verdict().reason, Some(reason));
        }
    }

    #[test]
    fn an_app_that_fails_by_itself_does_not_keep_it_open() {
        let mut world = World::new();
        world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        let seconds = world.run_until(Reachability::Answering, BAD, CircuitState::Closed);
        assert!((5.0..=8.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_pause_is_no_outage() {
        let mut world = World::new();
        for _ in 0..600 {
            assert_eq!(world.tick(Reachability::Paused, NONE).state, CircuitState::Closed);
        }
    }

    #[test]
    fn only_an_attempt_of_its_own_time_ends_half_open() {
        let mut world = World::new();
        world.run_until(Reachability::LoginRefused, NONE, CircuitState::Open);
        world.failed = Some(Duration::from_secs(60));
        world.run_until(Reachability::LoginRefused, NONE, CircuitState::HalfOpen);
        for _ in 0..50 {
            assert_eq!(world.tick(Reachability::LoginRefused, NONE).state, CircuitState::HalfOpen, "no probe was sent");
        }
        world.failed = Some(Duration::ZERO);
        assert_eq!(world.tick(Reachability::LoginRefused, NONE).state, CircuitState::Open);

        world.failed = Some(Duration::from_secs(60));
        world.run_until(Reachability::LoginRefused, NONE, CircuitState::HalfOpen);
        let seconds = world.run_until(Reachability::LoginRefused, NONE, CircuitState::Open);
        assert!((9.9..=10.2).contains(&seconds), "{seconds}");
        world.run_until(Reachability::LoginRefused, NONE, CircuitState::HalfOpen);
        world.run_until(Reachability::Answering, NONE, CircuitState::Closed);
    }

    #[test]
    fn half_open_without_evidence_ends() {
        let mut world = World::new();
        world.run_until(Reachability::Silent, NONE, CircuitState::Open);
        world.run_until(Reachability::Unknown, NONE, CircuitState::HalfOpen);
        let seconds = world.run_until(Reachability::Unknown, NONE, CircuitState::Open);
        assert!((9.9..=10.2).contains(&seconds), "{seconds}");
    }
}
