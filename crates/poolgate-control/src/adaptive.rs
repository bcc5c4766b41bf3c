//! The law of the fair rate: one number for all clients, corrected by what arrives.
//!
//! It has the form of RCP, the rate control protocol of routers (Dukkipati and McKeown, 2006): a link tells all flows
//! the same rate and corrects it by its arrivals and its queue, without knowing the number of flows. With `C` the
//! capacity and `y` the arrivals (both in requests a second), `q` the queue at the gate, `η` the overcommitment, `d`
//! the loop's delay and `T` the time since the previous tick:
//!
//! ```text
//! rate ← rate · clamp(1 + (T/d) · (α (η C − y) − β min(q/d, C)) / C)
//! ```
//!
//! The factor is clamped to 0.75 … 1.06 per 100 ms, so the rate is cut fast and released slowly. It settles where
//! requests wait for `d (η − 1) α / β` = 60 ms at the gate, so the gate never runs dry. A gate with a shorter queue
//! rejects at most a share of `1 − 1/η` = 7 %. `docs/control-law.md` has the derivation and the measurements.

use std::time::Duration;

use crate::{
    average::Average, capacity::Capacity, sample::Sample, settings::AdaptiveSettings, standing_queue::StandingQueue,
    window::Window,
};

/// Largest and smallest factor per [`STEP`].
const FASTEST_RELEASE: f64 = 1.06;
const FASTEST_CUT: f64 = 0.75;
/// The time that these factors apply to.
const STEP: Duration = Duration::from_millis(100);
/// After a pause between ticks the rate is corrected by at most this many steps, because one sample says little about a
/// longer time.
const MOST_STEPS: f64 = 5.0;

/// Time constant of the average arrivals: 30 % of a step is absorbed after 100 ms.
const ARRIVALS_TIME_CONSTANT: Duration = Duration::from_millis(280);

/// An error of this many standard deviations of the arrivals is corrected twice as fast as its size alone would be.
/// Smaller errors are mostly chance.
const SIGNIFICANT: f64 = 3.0;
/// Congestion begins when arrivals exceed the capacity by this many standard deviations of their average.
const EXCESSIVE: f64 = 3.0;

/// When congestion begins, the rate starts at an equal share for each client, and rises because some clients need less.
/// It starts anew in the same way when it must fall fast from this multiple of an equal share, which would otherwise
/// take about twenty ticks.
const FAR_ABOVE: f64 = 2.0;
const FALLING_FAST: f64 = 0.95;

/// No obedient client needs to get less than an equal share of the capacity. Below this share of it the rate falls only
/// slowly: either the clients have not heard of the rate yet, and cutting on would starve them later, or there are more
/// clients than the server knows.
const EQUAL_ENOUGH: f64 = 0.7;
const SLOWEST_CUT: f64 = 0.99;
/// The rate never falls below this share of an equal share: obedient clients must not starve because of an overload by
/// others, which are the business of the per-client check.
const LEAST_SHARE: f64 = 0.1;
/// Mean delay with which clients without a stream hear of a new rate: they poll every five seconds while a limit is
/// enforced.
const POLL_DELAY: Duration = Duration::from_millis(2500);

/// If the arrivals after a guess are this multiple of the wanted ones, the clients' delay can be measured: they have
/// heard when half of the excess is gone. The measurement ends after the second time at the latest.
const CLEAR_EXCESS: f64 = 1.5;
const LATEST_HEARING: Duration = Duration::from_secs(4);

/// Demand fits when arrivals stay below the first share of the capacity, and rejects below the second share of the
/// arrivals.
const FITTING_ARRIVALS: f64 = 0.95;
const FITTING_REJECTS: f64 = 0.01;

/// Clients that hear late make it take longer to see that demand fits, but no limit outlasts its need by more than
/// this.
const LATEST_RELEASE: Duration = Duration::from_secs(4);

/// Arrivals that grow by more than this factor while the rate rises show that the rate holds demand back.
const STILL_GROWING: f64 = 1.25;

/// The fair rate, or none while no limit is needed.
#[derive(Clone, Debug)]
pub(crate) struct FairRate {
    settings: AdaptiveSettings,
    arrivals: Average,
    rejects: Window,
    standing: StandingQueue,
    rate: Option<f64>,
    calm: Option<Calm>,
    guess: Option<Guess>,
    /// Measured delay with which clients that have a stream hear of a new rate.
    hearing: Duration,
}

/// A rate that the clients have not heard of yet, so that the arrivals do not reflect it.
#[derive(Clone, Copy, Debug)]
struct Guess {
    made_at: Duration,
    /// The most arrivals a second since then.
    most: f64,
}

/// When demand began to fit, and the arrivals then.
#[derive(Clone, Copy, Debug)]
struct Calm {
    since: Duration,
    arrivals: f64,
}

impl FairRate {
    pub(crate) fn new(settings: AdaptiveSettings) -> Self {
        Self {
            settings,
            arrivals: Average::new(ARRIVALS_TIME_CONSTANT),
            rejects: Window::default(),
            standing: StandingQueue::default(),
            rate: None,
            calm: None,
            guess: None,
            hearing: settings.loop_delay,
        }
    }

    /// Whether clients are limited.
    pub(crate) const fn is_in_force(&self) -> bool {
        self.rate.is_some()
    }

    /// Skips a time in which nothing could be served; returns the rate in force, which is kept.
    pub(crate) fn skip(&mut self) -> Option<f64> {
        self.standing = StandingQueue::default();
        self.in_force()
    }

    /// The rate in force.
    pub(crate) const fn in_force(&self) -> Option<f64> {
        self.rate
    }

    /// Takes in what happened during `elapsed`, which must not be zero. Returns the rate in force: requests a second
    /// for each client, positive and finite.
    pub(crate) fn update(
        &mut self,
        sample: &Sample,
        capacity: &Capacity,
        now: Duration,
        elapsed: Duration,
    ) -> Option<f64> {
        let gate = &sample.gate;
        self.arrivals.update(gate.arrivals as f64 / elapsed.as_secs_f64(), elapsed);
        self.rejects.add(gate.rejected as f64, gate.arrivals as f64, now);
        self.standing.update(sample, now);

        let (growth, at_best) = (capacity.growth(), capacity.at_best());
        let doubt = self.arrivals.noise(at_best).hypot(capacity.noise());
        let (Some(arrivals), Some(capacity)) = (self.arrivals.value(), capacity.per_second()) else {
            return self.rate;
        };
        let arrivals = arrivals + self.standing.excess(arrivals, capacity, now);
        let wanted = self.settings.overcommit * capacity;
        let equal_share = wanted / f64::from(sample.live_clients.max(1));
        if self.is_unheard(arrivals, wanted, now) {
            // Capacity and clients may be known better by now.
            self.rate = Some(equal_share);
            return self.rate;
        }
        let delay = self.loop_delay(sample);
        self.rate = match self.rate {
            None => {
                let excess = arrivals / at_best - 1.0;
                self.is_congested(sample, excess, doubt, now).then(|| self.guess(equal_share, arrivals, now))
            }
            Some(rate) => (!self.fits(arrivals, capacity, delay, now)).then(|| {
                // The change of the slots is exact, so the rate follows at once.
                let rate = rate * growth;
                let mut factor = self.factor(arrivals, f64::from(gate.queued), capacity, delay, elapsed);
                let falls_fast = factor < FALLING_FAST || self.standing.stands(now);
                if falls_fast && rate > FAR_ABOVE * equal_share {
                    return self.guess(equal_share, arrivals, now);
                }
                if rate < EQUAL_ENOUGH * equal_share {
                    factor = factor.max(SLOWEST_CUT);
                }
                // A rate above the whole capacity limits no client; the bound lets it fall back quickly.
                (rate * factor).clamp(LEAST_SHARE * equal_share, wanted)
            }),
        };
        self.rate
    }

    /// Starts at an equal share for each live client, and gives the clients time to hear of it.
    fn guess(&mut self, equal_share: f64, arrivals: f64, now: Duration) -> f64 {
        self.calm = None;
        self.guess = Some(Guess { made_at: now, most: arrivals });
        equal_share
    }

    /// Whether the clients have not heard of the guess yet.
    fn is_unheard(&mut self, arrivals: f64, wanted: f64, now: Duration) -> bool {
        let Some(Guess { made_at, most }) = &mut self.guess else { return false };
        *most = most.max(arrivals);
        let passed = now.saturating_sub(*made_at);
        let is_clear = *most > CLEAR_EXCESS * wanted;
        let is_seen = is_clear && arrivals < f64::midpoint(*most, wanted);
        let patience = if is_clear { LATEST_HEARING } else { self.settings.loop_delay };
        if is_seen {
            self.hearing = passed.max(self.settings.loop_delay);
        }
        if is_seen || passed >= patience {
            self.guess = None;
            // The average contains requests sent before the guess. Only the next tick counts.
            self.arrivals = Average::new(ARRIVALS_TIME_CONSTANT);
        }
        true
    }

    /// Whether more arrives than can be served, shown by a queue or rejects at the gate, or by a standing queue if the
    /// source rejects no request. High usage alone is no evidence.
    fn is_congested(&self, sample: &Sample, excess: f64, doubt: f64, now: Duration) -> bool {
        let too_much = excess > EXCESSIVE * doubt && (sample.gate.queued > 0 || sample.gate.rejected > 0);
        too_much || self.standing.stands(now)
    }

    /// Mean time until a new rate shows in the arrivals, over all clients, in seconds.
    fn loop_delay(&self, sample: &Sample) -> f64 {
        let pushed = self.hearing.as_secs_f64();
        let polled = pushed.max(POLL_DELAY.as_secs_f64());
        let clients = f64::from(sample.live_clients.max(1));
        let streaming = f64::from(sample.streaming_clients).min(clients) / clients;
        pushed * streaming + polled * (1.0 - streaming)
    }

    fn factor(&self, arrivals: f64, queued: f64, capacity: f64, delay: f64, elapsed: Duration) -> f64 {
        let AdaptiveSettings { overcommit, arrival_gain, queue_gain, .. } = self.settings;
        let missing = overcommit - arrivals / capacity;
        let urgency = 1.0 + (missing / (SIGNIFICANT * noise(capacity))).powi(2);
        let draining = (queued / delay / capacity).min(1.0);
        let correction = arrival_gain * urgency * missing - queue_gain * draining;
        let slower = self.settings.loop_delay.as_secs_f64() / delay;
        let per_step = 1.0 + STEP.as_secs_f64() / self.settings.loop_delay.as_secs_f64() * correction;
        let steps = (elapsed.as_secs_f64() / STEP.as_secs_f64()).min(MOST_STEPS);
        per_step.clamp(FASTEST_CUT, FASTEST_RELEASE).powf(steps * slower)
    }

    /// Whether demand has fit for long enough to release the rate. Arrivals below capacity are no proof, because the
    /// rate may hold them there. But then they grow as the rate rises, and each growth restarts the wait.
    fn fits(&mut self, arrivals: f64, capacity: f64, delay: f64, now: Duration) -> bool {
        let rejects = self.rejects.ratio(now).unwrap_or_default();
        if arrivals > FITTING_ARRIVALS * capacity || rejects > FITTING_REJECTS {
            self.calm = None;
            return false;
        }
        let calm = self.calm.get_or_insert(Calm { since: now, arrivals });
        if arrivals > STILL_GROWING * calm.arrivals + 1.0 {
            *calm = Calm { since: now, arrivals };
        }
        let slower = delay / self.settings.loop_delay.as_secs_f64();
        let release_after = self.settings.release_after.mul_f64(slower).min(LATEST_RELEASE);
        now.saturating_sub(calm.since) >= release_after.max(self.settings.release_after)
    }
}

/// Relative standard deviation of the average of random arrivals at this rate.
fn noise(per_second: f64) -> f64 {
    (2.0 * ARRIVALS_TIME_CONSTANT.as_secs_f64() * per_second).sqrt().recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{GateSample, PoolSample};

    const TICK: Duration = Duration::from_millis(100);

    /// 25 slots of 50 ms: 500 requests a second.
    struct Gate {
        law: FairRate,
        capacity: Capacity,
        permits: u32,
        live_clients: u32,
        patient: bool,
        now: Duration,
    }

    impl Gate {
        fn new() -> Self {
            let law = FairRate::new(AdaptiveSettings::default());
            Self { law, capacity: Capacity::new(), permits: 25, live_clients: 100, patient: false, now: Duration::ZERO }
        }

        fn tick(&mut self, arrivals: u64, rejected: u64, queued: u32) -> Option<f64> {
            self.now += TICK;
            let sample = Sample {
                pool: PoolSample { capacity: 30, ..PoolSample::default() },
                gate: GateSample {
                    permits: self.permits,
                    in_flight: self.permits,
                    queued,
                    arrivals,
                    rejected,
                    patient: self.patient,
                    ..GateSample::default()
                },
                completed: 2 * u64::from(self.permits),
                live_clients: self.live_clients,
                streaming_clients: self.live_clients,
                ..Sample::default()
            };
            self.capacity.update(&sample, u32::MAX, self.now, TICK);
            self.law.update(&sample, &self.capacity, self.now, TICK)
        }
    }

    #[test]
    fn a_full_gate_without_excess_demand_limits_nobody() {
        let mut gate = Gate::new();
        for _ in 0..600 {
            assert_eq!(gate.tick(50, 0, 10), None);
        }
    }

    #[test]
    fn congestion_begins_with_a_guess_from_the_live_clients() {
        let mut gate = Gate::new();
        for _ in 0..10 {
            gate.tick(40, 0, 0);
        }
        let rate = (0..20).find_map(|_| gate.tick(400, 300, 20)).unwrap();
        assert!((rate / (1.08 * 500.0 / 100.0) - 1.0).abs() < 0.05, "{rate}");
    }

    #[test]
    fn the_rate_falls_while_too_much_arrives_but_not_below_the_least_share() {
        let mut gate = Gate::new();
        let mut rate = f64::INFINITY;
        for _ in 0..1000 {
            rate = gate.tick(500, 450, 20).unwrap_or(rate);
        }
        assert!((rate / (0.1 * 1.08 * 5.0) - 1.0).abs() < 0.01, "{rate}");
    }

    #[test]
    fn a_queue_that_stands_is_congestion_although_no_more_arrives_than_is_served() {
        let mut gate = Gate::new();
        gate.patient = true;
        assert_eq!((0..600).find_map(|_| gate.tick(50, 0, 20)), None, "less than a turn of the slots");
        let rate = (0..20).find_map(|_| gate.tick(50, 0, 200)).unwrap();
        assert!((rate / (1.08 * 500.0 / 100.0) - 1.0).abs() < 0.05, "{rate}");
        let still = (0..100).map(|_| gate.tick(40, 0, 200)).last().unwrap();
        assert!(still.is_some(), "what waits is demand, though little arrives");
        let ticks = (1..100).find(|_| gate.tick(10, 0, 0).is_none()).unwrap();
        assert!((20..=70).contains(&ticks), "released after {ticks} ticks");
    }

    #[test]
    fn a_rate_from_before_the_crowd_came_is_cut_at_once() {
        let mut gate = Gate::new();
        gate.live_clients = 1;
        while gate.tick(400, 300, 20).is_none() {}
        gate.live_clients = 100;
        // As soon as what arrives can be the answer to the first guess.
        let rate = (0..10).map(|_| gate.tick(400, 300, 20).unwrap()).fold(f64::INFINITY, f64::min);
        assert!(rate < 2.0 * 1.08 * 5.0, "{rate}");
    }

    #[test]
    fn slots_that_are_new_are_given_away_at_once() {
        let mut gate = Gate::new();
        gate.permits = 5;
        while gate.tick(80, 60, 5).is_none() {}
        let before = (0..50).map(|_| gate.tick(11, 1, 0).unwrap()).last().unwrap();
        gate.permits = 25;
        let after = gate.tick(11, 0, 0).unwrap();
        assert!((after / before / 5.0 - 1.0).abs() < 0.1, "{before}, {after}");
    }

    #[test]
    fn a_rate_that_no_longer_binds_is_released() {
        let mut gate = Gate::new();
        while gate.tick(400, 300, 20).is_none() {}
        let ticks = (1..100).find(|_| gate.tick(10, 0, 0).is_none()).unwrap();
        assert!((20..=60).contains(&ticks), "released after {ticks} ticks");
    }

    #[test]
    fn a_rate_that_holds_demand_back_is_raised_and_not_released() {
        let mut gate = Gate::new();
        let mut rate = std::iter::repeat_with(|| gate.tick(400, 300, 20)).flatten().next().unwrap();
        // Only 10 of the 100 live clients are active and use all they may: arrivals follow the rate.
        for _ in 0..600 {
            let arrivals = (10.0 * rate * TICK.as_secs_f64()).round() as u64;
            rate = gate.tick(arrivals, arrivals.saturating_sub(50), 0).expect("still in force");
        }
        assert!((rate * 10.0 / (1.08 * 500.0) - 1.0).abs() < 0.1, "{rate}");
    }
}
