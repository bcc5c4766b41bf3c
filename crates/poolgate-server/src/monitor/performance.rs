//! The performance that requests saw during the last minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use poolgate_types::Performance;

use super::sampler::Reading;
use crate::{
    gate::Totals,
    latency::{Interval, Latency, Rolling},
    observer::Times,
    watched::Visibility,
};

/// Length of the window in seconds, and in slots.
const WINDOW: u32 = 60;

/// Sliding windows of one minute, in steps of a second.
#[derive(Debug)]
pub(super) struct PerformanceWindow {
    /// The pool reports how long callers wait for connections and use them.
    pub(super) observed: bool,
    responses: Rolling,
    waits: Rolling,
    waits_of_second: Option<Interval>,
    readings: VecDeque<(Totals, Times)>,
    second_ends: Instant,
    newest: Performance,
}

impl PerformanceWindow {
    pub(super) fn new(observed: bool, gated: bool) -> Self {
        Self {
            observed,
            responses: Rolling::new(WINDOW as usize),
            waits: Rolling::new(WINDOW as usize),
            waits_of_second: None,
            readings: VecDeque::from([(Totals::default(), Times::default())]),
            second_ends: Instant::now() + Duration::from_secs(1),
            newest: nothing_yet(gated),
        }
    }

    /// Takes in one tick. The figures are computed once a second.
    pub(super) fn update(&mut self, reading: &Reading, responses: &Latency) -> &Performance {
        let acquire_waits = reading.acquire_waits.clone();
        match &mut self.waits_of_second {
            // All intervals have the same bounds, so adding cannot fail.
            Some(waits) => drop(waits.add(acquire_waits)),
            none => *none = Some(acquire_waits),
        }
        if Instant::now() >= self.second_ends {
            self.second_ends = Instant::now() + Duration::from_secs(1);
            if let Some(waits) = self.waits_of_second.take() {
                self.waits.push(waits);
            }
            self.responses.push(responses.take());
            self.readings.push_back((reading.totals, reading.times));
            if self.readings.len() > WINDOW as usize + 1 {
                self.readings.pop_front();
            }
            self.compute(reading);
        }
        &self.newest
    }

    fn compute(&mut self, Reading { totals, visibility, times, .. }: &Reading) {
        let (first, first_times) = self.readings.front().copied().unwrap_or_default();
        let since = totals.since(&first);
        let requests = since.arrivals + since.over_quota;
        let errors = since.rejected + since.over_quota + since.failed();
        let wait = times.wait.saturating_sub(first_times.wait).as_secs_f64();
        let in_use = times.in_use.saturating_sub(first_times.in_use).as_secs_f64();
        let gated = *visibility == Visibility::Gated;
        self.newest = Performance {
            window_seconds: WINDOW,
            requests: visibility.is_known().then_some(requests),
            // Requests that are rejected in this window may have arrived just before it.
            error_rate: (gated && requests > 0).then(|| (errors as f64 / requests as f64).min(1.0)),
            response_time_ms: self.responses.percentiles().filter(|_| gated),
            acquire_wait_ms: self.waits.percentiles().filter(|_| self.observed),
            pool_efficiency: (self.observed && in_use + wait > 0.0).then(|| in_use / (in_use + wait)),
        };
    }
}

/// The figures before the first second has passed.
pub(super) fn nothing_yet(gated: bool) -> Performance {
    Performance {
        window_seconds: WINDOW,
        requests: gated.then_some(0),
        error_rate: None,
        response_time_ms: None,
        acquire_wait_ms: None,
        pool_efficiency: None,
    }
}
