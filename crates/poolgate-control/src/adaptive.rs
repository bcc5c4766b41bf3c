//! The law of the fair rate: one number for all clients, corrected from what arrives.
//!
//! It has the shape of RCP, the rate control protocol of routers (Dukkipati and McKeown, 2006): a link tells all flows
//! the same rate and corrects it from its arrivals and its queue, without knowing how many flows there are. With `C`
//! the capacity, `y` the arrivals (both requests a second), `q` the queue at the gate, `η` the overcommitment, `d` the
//! loop's delay and `T` the time since the previous tick:
//!
//! ```text
//! rate ← rate · clamp(1 + (T/d) · (α (η C − y) − β min(q/d, C)) / C)
//! ```
//!
//! The factor is clamped to 0.75 … 1.06 per 100 ms: fast to cut, slow to release. It settles
//! with requests waiting for `d (η − 1) α / β` = 40 ms at the gate, which therefore never runs dry; a gate that lets them
//! wait less rejects a share `1 − 1/η` = 5 % at the most.

use std::time::Duration;

use crate::{average::Average, capacity::Capacity, sample::Sample, settings::AdaptiveSettings, window::Window};

/// Largest and smallest factor per [`STEP`].
const FASTEST_RELEASE: f64 = 1.06;
const FASTEST_CUT: f64 = 0.75;
/// The time that these factors are for.
const STEP: Duration = Duration::from_millis(100);
/// A pause between ticks corrects the rate by at most so many steps at once: the sample says little about longer ones.
const MOST_STEPS: f64 = 5.0;

/// Weight of history in the arrivals: 30 % of a step is seen after 100 ms.
const ARRIVALS_TIME_CONSTANT: Duration = Duration::from_millis(280);

/// When congestion begins, clients are told this multiple of an equal share: some of them ask for less. The same when the
/// rate must fall fast from [`FAR_ABOVE`] times that guess, instead of some twenty ticks of decay.
const FIRST_GUESS: f64 = 1.5;
const FAR_ABOVE: f64 = 2.0;
const FALLING_FAST: f64 = 0.95;

/// The rate never falls below this part of an equal share: if it is those who do not obey that cause the overload, those
/// who do must not starve for it. The per-client check is for the former.
const LEAST_SHARE: f64 = 0.1;

/// Demand fits when arrivals stay below this part of capacity, and rejects below that part of arrivals.
const FITTING_ARRIVALS: f64 = 0.95;
const FITTING_REJECTS: f64 = 0.01;

/// While the rate is raised and arrivals still grow by more than this, demand is being held back.
const STILL_GROWING: f64 = 1.25;

/// The fair rate, or none while nobody needs to be limited.
#[derive(Clone, Debug)]
pub(crate) struct FairRate {
    settings: AdaptiveSettings,
    arrivals: Average,
    rejects: Window,
    rate: Option<f64>,
    calm: Option<Calm>,
}

/// Since when demand fits, and the arrivals then.
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
            rate: None,
            calm: None,
        }
    }

    /// Takes in what happened during `elapsed`, which must not be zero, and says the rate in force: requests a second and
    /// client, positive and finite.
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

        let (Some(arrivals), Some(capacity)) = (self.arrivals.value(), capacity.per_second()) else {
            return self.rate;
        };
        let equal_share = self.settings.overcommit * capacity / f64::from(sample.live_clients.max(1));
        self.rate = match self.rate {
            None => self.is_congested(sample, arrivals, capacity).then(|| {
                self.calm = None;
                FIRST_GUESS * equal_share
            }),
            Some(rate) => (!self.fits(arrivals, capacity, now)).then(|| {
                let factor = self.factor(arrivals, f64::from(gate.queued), capacity, elapsed);
                let guess = FIRST_GUESS * equal_share;
                if factor < FALLING_FAST && rate > FAR_ABOVE * guess {
                    return guess;
                }
                // Above the whole capacity the rate limits nobody; the bound keeps the way back short.
                let most = self.settings.overcommit * capacity;
                (rate * factor).clamp(LEAST_SHARE * equal_share, most)
            }),
        };
        self.rate
    }

    /// More arrives than is wanted, and the gate shows it. Usage alone, however high, is no evidence.
    fn is_congested(&self, sample: &Sample, arrivals: f64, capacity: f64) -> bool {
        arrivals > self.settings.overcommit * capacity && (sample.gate.queued > 0 || sample.gate.rejected > 0)
    }

    fn factor(&self, arrivals: f64, queued: f64, capacity: f64, elapsed: Duration) -> f64 {
        let AdaptiveSettings { overcommit, arrival_gain, queue_gain, loop_delay, .. } = self.settings;
        let delay = loop_delay.as_secs_f64();
        let missing = overcommit * capacity - arrivals;
        let draining = (queued / delay).min(capacity);
        let correction = (arrival_gain * missing - queue_gain * draining) / capacity;
        let per_step = 1.0 + STEP.as_secs_f64() / delay * correction;
        let steps = (elapsed.as_secs_f64() / STEP.as_secs_f64()).min(MOST_STEPS);
        per_step.clamp(FASTEST_CUT, FASTEST_RELEASE).powf(steps)
    }

    /// Whether demand has fit for long enough to release the rate. Arrivals below capacity are not proof: the rate may be
    /// what holds them there. But then they grow as it is raised, and each growth starts the wait anew.
    fn fits(&mut self, arrivals: f64, capacity: f64, now: Duration) -> bool {
        let rejects = self.rejects.ratio(now).unwrap_or_default();
        if arrivals > FITTING_ARRIVALS * capacity || rejects > FITTING_REJECTS {
            self.calm = None;
            return false;
        }
        let calm = self.calm.get_or_insert(Calm { since: now, arrivals });
        if arrivals > STILL_GROWING * calm.arrivals + 1.0 {
            *calm = Calm { since: now, arrivals };
        }
        now.saturating_sub(calm.since) >= self.settings.release_after
    }
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
        live_clients: u32,
        now: Duration,
    }

    impl Gate {
        fn new() -> Self {
            let law = FairRate::new(AdaptiveSettings::default());
            Self { law, capacity: Capacity::new(), live_clients: 100, now: Duration::ZERO }
        }

        fn tick(&mut self, arrivals: u64, rejected: u64, queued: u32) -> Option<f64> {
            self.now += TICK;
            let sample = Sample {
                pool: PoolSample { capacity: 30, ..PoolSample::default() },
                gate: GateSample { permits: 25, queued, arrivals, rejected, ..GateSample::default() },
                completed: 50,
                hold_total: Duration::from_millis(50 * 50),
                live_clients: self.live_clients,
                ..Sample::default()
            };
            self.capacity.update(&sample, TICK);
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
        assert!((rate - 1.5 * 1.05 * 500.0 / 100.0).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn the_rate_falls_while_too_much_arrives_but_not_below_the_least_share() {
        let mut gate = Gate::new();
        let mut rate = f64::INFINITY;
        for _ in 0..300 {
            rate = gate.tick(500, 450, 20).unwrap_or(rate);
        }
        assert!((rate - 0.1 * 1.05 * 5.0).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn a_rate_from_before_the_crowd_came_is_cut_at_once() {
        let mut gate = Gate::new();
        gate.live_clients = 1;
        while gate.tick(400, 300, 20).is_none() {}
        gate.live_clients = 100;
        let rate = gate.tick(400, 300, 20).unwrap();
        assert!((rate - 1.5 * 1.05 * 5.0).abs() < 1e-6, "{rate}");
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
        assert!((rate * 10.0 - 1.05 * 500.0).abs() < 0.1 * 525.0, "{rate}");
    }
}
