//! The law of the fair rate: one number for all clients, corrected by what arrives.
//!
//! It has the form of RCP, the rate control protocol of routers (Dukkipati and McKeown, 2006): a link tells all flows
//! the same rate and corrects it by its arrivals and its queue, without knowing the number of flows. With `C` the
//! capacity and `y` the arrivals (both in requests a second), `b` the backlog (requests in the gate's queue less idle
//! slots) and `Δb` its change since the previous tick, `η` the overcommitment, `d` the loop's delay and `T` the time
//! since the previous tick:
//!
//! ```text
//! rate ← rate · clamp(1 + (T/d) · (α (η C − y) − β b/d) / C) · (1 − p Δb / C)
//! ```
//!
//! The first factor is clamped to 0.75 … 1.06 per 100 ms, so the rate is cut fast and released slowly. The last one is
//! what keeps slots from running idle and the queue from running over: each request that the queue gains, and each slot
//! that becomes idle, is answered within the loop's delay. `docs/control-law.md` has the derivation and the measurements.

use std::{mem, time::Duration};

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

/// The most that the law's clock advances in a tick. While the process or its machine stands still nothing is seen, so
/// that time is no evidence: not of calm, and not of clients that have heard.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Time constant of the average arrivals: 30 % of a step is absorbed after 100 ms.
const ARRIVALS_TIME_CONSTANT: Duration = Duration::from_millis(280);

/// An error of this many standard deviations of the arrivals is corrected twice as fast as its size alone would be.
/// Smaller errors are mostly chance.
const SIGNIFICANT: f64 = 3.0;
/// Congestion begins when arrivals exceed the capacity by this many standard deviations of their average.
const EXCESSIVE: f64 = 3.0;

/// How fast the rate answers a change of the backlog, per second: a backlog that has grown by a hundredth of a second's
/// work lowers the rate by a hundredth. Longer holds are noisier in this respect, so the answer is weaker, in proportion
/// from the second value on and down to the third.
const BACKLOG_ANSWER: f64 = 1.0;
const SHORT_HOLD: f64 = 0.1;
const WEAKEST_ANSWER: f64 = 0.5;
/// The largest answer to one tick's change.
const LARGEST_ANSWER: f64 = 0.1;
/// The queue of a source that rejects no request has no bound, so its length counts this many times as much.
const PATIENT: f64 = 4.0;

/// A client's request may wait for about this long at home before the client has no use for it any more. Used for the
/// first rate only.
const WAIT_AT_HOME: Duration = Duration::from_secs(1);

/// When congestion begins, the rate starts at a guess. It starts anew in the same way when it must fall fast from this
/// multiple of the guess, which would otherwise take about twenty ticks.
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
    /// The time that was seen since the start.
    clock: Duration,
    arrivals: Average,
    rejects: Window,
    standing: StandingQueue,
    rate: Option<f64>,
    backlog: f64,
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
            clock: Duration::ZERO,
            arrivals: Average::new(ARRIVALS_TIME_CONSTANT),
            rejects: Window::default(),
            standing: StandingQueue::default(),
            rate: None,
            backlog: 0.0,
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

    /// The clients obey this rate, which another server may have published.
    pub(crate) fn follow(&mut self, rate: Option<f64>) {
        if rate != self.rate {
            (self.rate, self.calm, self.guess) = (rate, None, None);
        }
    }

    /// The rate in force.
    pub(crate) const fn in_force(&self) -> Option<f64> {
        self.rate
    }

    /// Takes in what happened during `elapsed`, which must not be zero. Returns the rate in force: requests a second
    /// for each client, positive and finite.
    pub(crate) fn update(&mut self, sample: &Sample, capacity: &Capacity, elapsed: Duration) -> Option<f64> {
        let gate = &sample.gate;
        self.clock += elapsed.min(LONGEST_TICK);
        let now = self.clock;
        self.arrivals.update(gate.arrivals as f64 / elapsed.as_secs_f64(), elapsed);
        self.rejects.add(gate.rejected as f64, gate.arrivals as f64, now);
        self.standing.update(sample, now);

        let (growth, at_best, mean_hold) = (capacity.growth(), capacity.at_best(), capacity.mean_hold());
        let backlog = capacity.backlog(gate.queued);
        let change = backlog - mem::replace(&mut self.backlog, backlog);
        let doubt = self.arrivals.noise(at_best).hypot(capacity.noise());
        let (Some(arrivals), Some(capacity)) = (self.arrivals.value(), capacity.per_second()) else {
            return self.rate;
        };
        let arrivals = arrivals + self.standing.excess(arrivals, capacity, now);
        let wanted = self.settings.overcommit * capacity;
        let clients = f64::from(sample.live_clients.max(1));
        let equal_share = wanted / clients;
        let first_rate = |demand: f64| first_rate(equal_share, demand / clients).min(wanted);
        if let Some(demand) = self.unheard(arrivals, wanted, self.settings.loop_delay + sample.lag, now) {
            // Capacity, clients and demand may be known better by now.
            self.rate = Some(first_rate(demand));
            return self.rate;
        }
        let delay = self.loop_delay(sample);
        let calm = self.rate.map_or(Duration::ZERO, |_| self.calm_for(arrivals, capacity, now));
        let release_after = self.release_after(delay);
        // If all clients together may send less than fits, that it fits is no news.
        let is_informed = |rate: f64| rate * wanted / equal_share >= FITTING_ARRIVALS * capacity;
        let in_force = self.rate;
        self.rate = match in_force {
            None => {
                let excess = arrivals / at_best - 1.0;
                self.is_congested(sample, excess, doubt, now).then(|| {
                    self.guess(arrivals, now);
                    first_rate(arrivals)
                })
            }
            Some(rate) if calm >= release_after && is_informed(rate) => None,
            Some(rate) if calm >= release_after / 2 && !is_informed(rate) => Some(equal_share),
            Some(rate) => {
                // The change of the slots is exact, so the rate follows at once.
                let rate = rate * growth;
                let backlog = if gate.patient { PATIENT * backlog } else { backlog };
                let mut factor = self.factor(arrivals, backlog, capacity, delay, elapsed);
                let falls_fast = factor < FALLING_FAST || self.standing.stands(now);
                if falls_fast && rate > FAR_ABOVE * first_rate(arrivals) {
                    self.guess(arrivals, now);
                    Some(first_rate(arrivals))
                } else {
                    if rate < EQUAL_ENOUGH * equal_share {
                        factor = factor.max(SLOWEST_CUT);
                    }
                    // A rate above the whole capacity limits no client; the bound lets it fall back quickly.
                    let answer = self.answer(change / capacity, mean_hold, delay);
                    Some((rate * factor * answer).clamp(LEAST_SHARE * equal_share, wanted))
                }
            }
        };
        self.rate
    }

    /// Gives the clients time to hear of the first rate.
    fn guess(&mut self, arrivals: f64, now: Duration) {
        self.calm = None;
        self.guess = Some(Guess { made_at: now, most: arrivals });
    }

    /// What the clients want while they have not heard of the first rate, in requests a second.
    fn unheard(&mut self, arrivals: f64, wanted: f64, least: Duration, now: Duration) -> Option<f64> {
        let Guess { made_at, most } = self.guess.as_mut()?;
        *most = most.max(arrivals);
        let passed = now.saturating_sub(*made_at);
        let demand = *most;
        let is_clear = demand > CLEAR_EXCESS * wanted;
        let is_seen = is_clear && arrivals < f64::midpoint(demand, wanted);
        let patience = if is_clear { LATEST_HEARING } else { least };
        if is_seen {
            self.hearing = passed.max(least);
        }
        if is_seen || passed >= patience {
            self.guess = None;
            // The average contains requests sent before the guess. Only the next tick counts.
            self.arrivals = Average::new(ARRIVALS_TIME_CONSTANT);
        }
        Some(demand)
    }

    /// Whether more arrives than can be served, shown by a queue or rejects at the gate, or by a standing queue if the
    /// source rejects no request. High usage alone is no evidence.
    fn is_congested(&self, sample: &Sample, excess: f64, doubt: f64, now: Duration) -> bool {
        let too_much = excess > EXCESSIVE * doubt && (sample.gate.queued > 0 || sample.gate.rejected > 0);
        too_much || self.standing.stands(now)
    }

    /// Mean time until a new rate shows in the arrivals, over all clients, in seconds.
    fn loop_delay(&self, sample: &Sample) -> f64 {
        let pushed = self.hearing.max(self.settings.loop_delay + sample.lag).as_secs_f64();
        let polled = pushed.max(POLL_DELAY.as_secs_f64());
        let clients = f64::from(sample.live_clients.max(1));
        let streaming = f64::from(sample.streaming_clients).min(clients) / clients;
        pushed * streaming + polled * (1.0 - streaming)
    }

    /// The factor that answers a change of the backlog, given in seconds of work.
    fn answer(&self, change: f64, mean_hold: f64, delay: f64) -> f64 {
        let strength = BACKLOG_ANSWER * (SHORT_HOLD / mean_hold).clamp(WEAKEST_ANSWER, 1.0);
        let slower = self.settings.loop_delay.as_secs_f64() / delay;
        1.0 - (strength * slower * change).clamp(-LARGEST_ANSWER, LARGEST_ANSWER)
    }

    fn factor(&self, arrivals: f64, backlog: f64, capacity: f64, delay: f64, elapsed: Duration) -> f64 {
        let AdaptiveSettings { overcommit, arrival_gain, queue_gain, .. } = self.settings;
        let missing = overcommit - arrivals / capacity;
        let urgency = 1.0 + (missing / (SIGNIFICANT * noise(capacity))).powi(2);
        let draining = (backlog / delay / capacity).clamp(-1.0, 1.0);
        let correction = arrival_gain * urgency * missing - queue_gain * draining;
        let slower = self.settings.loop_delay.as_secs_f64() / delay;
        let per_step = 1.0 + STEP.as_secs_f64() / self.settings.loop_delay.as_secs_f64() * correction;
        let steps = (elapsed.as_secs_f64() / STEP.as_secs_f64()).min(MOST_STEPS);
        per_step.clamp(FASTEST_CUT, FASTEST_RELEASE).powf(steps * slower)
    }

    /// For how long demand has fit. Arrivals below capacity are no proof, because the rate may hold them there. But then
    /// they grow as the rate rises, and each growth restarts the time.
    fn calm_for(&mut self, arrivals: f64, capacity: f64, now: Duration) -> Duration {
        let rejects = self.rejects.ratio(now).unwrap_or_default();
        if arrivals > FITTING_ARRIVALS * capacity || rejects > FITTING_REJECTS {
            self.calm = None;
            return Duration::ZERO;
        }
        let calm = self.calm.get_or_insert(Calm { since: now, arrivals });
        if arrivals > STILL_GROWING * calm.arrivals + 1.0 {
            *calm = Calm { since: now, arrivals };
        }
        now.saturating_sub(calm.since)
    }

    /// The calm after which the limit is lifted. After half of it a rate below an equal share becomes one.
    fn release_after(&self, delay: f64) -> Duration {
        let slower = delay / self.settings.loop_delay.as_secs_f64();
        self.settings.release_after.mul_f64(slower).min(LATEST_RELEASE).max(self.settings.release_after)
    }
}

/// The rate at which clients that want `demand` requests a second each send `equal_share` each.
///
/// A client whose wishes come at random may send again 1/rate after it has sent, and does so then if a wish has come in the last
/// [`WAIT_AT_HOME`], or else with its next wish, after 1/demand on average. So it sends once in 1/rate + e^(-demand · wait) / demand.
/// Clients that want one request now and then need a rate far above an equal share, because they save nothing up.
fn first_rate(equal_share: f64, demand: f64) -> f64 {
    let idle = (-demand * WAIT_AT_HOME.as_secs_f64()).exp() / demand;
    let pause = 1.0 / equal_share - idle;
    if pause > 0.0 { pause.recip() } else { f64::INFINITY }
}

/// Relative standard deviation of the average of random arrivals at this rate.
fn noise(per_second: f64) -> f64 {
    (2.0 * ARRIVALS_TIME_CONSTANT.as_secs_f64() * per_second).sqrt().recip()
}

#[cfg(test)]
mod tests;
