//! What was: the last 15 minutes by the second, the last 6 hours by the half minute, and the events of that time.
//!
//! It is written by each tick and read by the history route, from memory. It holds at most 1,622 samples and 500 events with
//! texts of at most 500 bytes: less than 0.5 MB.

mod events;
mod ring;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use poolgate_types::{History as Document, HistorySample, Reason, Status};

use self::{
    events::EventLog,
    ring::{Moment, Ring, Step},
};
use crate::gate::Totals;

/// Steps of a second, for 15 minutes.
const FINE: (Duration, usize) = (Duration::from_secs(1), 15 * 60);
/// Steps of half a minute, for 6 hours.
const COARSE: (Duration, usize) = (Duration::from_secs(30), 6 * 60 * 2);

/// The history of one server since its start.
#[derive(Debug)]
pub(crate) struct History {
    started_at: Timestamp,
    records: Mutex<Records>,
}

#[derive(Debug)]
struct Records {
    fine: Ring,
    coarse: Ring,
    events: EventLog,
}

impl History {
    pub(crate) fn new(started_at: Timestamp) -> Self {
        let ring = |(step, steps)| Ring::new(step, steps);
        let records = Records { fine: ring(FINE), coarse: ring(COARSE), events: EventLog::new() };
        Self { started_at, records: Mutex::new(records) }
    }

    /// Takes in a tick at `now`, the time since the start; `reason` is that of the config in force.
    pub(crate) fn record(&self, now: Duration, status: &Status, totals: &Totals, reason: Reason) {
        let moment = Moment::new(status, totals);
        let mut records = self.records();
        records.fine.record(now, &moment);
        records.coarse.record(now, &moment);
        records.events.record(now, status, reason);
    }

    /// The last `span` of the time until `now`, which is the time since the start: in steps of a second up to 15 minutes, and
    /// of half a minute otherwise.
    pub(crate) fn document(&self, span: Duration, now: Duration) -> Document {
        let from = now.saturating_sub(span);
        let (step, steps, events) = {
            let records = self.records();
            let (ring, (step, _)) =
                if span <= FINE.0 * FINE.1 as u32 { (&records.fine, FINE) } else { (&records.coarse, COARSE) };
            (step, ring.since(from), records.events.since(from))
        };
        Document {
            step_seconds: step.as_secs() as u32,
            samples: steps.iter().map(|step| self.sample(step)).collect(),
            events: events.iter().map(|event| event.told(self.at(event.since_start))).collect(),
        }
    }

    fn sample(&self, step: &Step) -> HistorySample {
        let Step { begin, worst, rates } = step;
        HistorySample {
            at: self.at(*begin),
            throttling_level: worst.level,
            circuit_breaker: worst.circuit,
            checked_out: worst.checked_out,
            open: worst.open,
            capacity: worst.capacity,
            waiting: worst.waiting,
            acquire_wait_p95_ms: worst.p95.map(|wait| rounded(wait.into())),
            acquire_wait_p99_ms: worst.p99.map(|wait| rounded(wait.into())),
            admitted_per_second: rates.map(|rates| rounded(rates.admitted)),
            rejected_per_second: rates.map(|rates| rounded(rates.rejected)),
            succeeded_per_second: rates.map(|rates| rounded(rates.succeeded)),
            failed_per_second: rates.map(|rates| rounded(rates.failed)),
        }
    }

    /// The time of day. It follows the clock that does not jump, so that the order of the samples is that of the events.
    fn at(&self, since_start: Duration) -> String {
        let since_start = SignedDuration::try_from(since_start).unwrap_or(SignedDuration::ZERO);
        self.started_at.checked_add(since_start).unwrap_or(self.started_at).to_string()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two decimals are enough for a chart, and keep the document small.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_smaller_than_it_says() {
        let samples = (FINE.1 + COARSE.1 + 2) * size_of::<Step>();
        assert!(samples + EventLog::LARGEST < 500_000, "{samples} + {}", EventLog::LARGEST);
        assert_eq!(FINE.1 + COARSE.1 + 2, 1_622);
    }
}
