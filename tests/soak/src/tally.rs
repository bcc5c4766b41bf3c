//! Outcomes of the clients' wishes, second by second and class by class.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use poolgate_native::{Answer, NoAnswer};
use serde::{Serialize, Serializer};

/// Number of seconds kept: three hours.
const MOST_SECONDS: usize = 3 * 3_600;

/// A class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Honest, with the throttle.
    Obeying,
    /// Honest, without the throttle.
    Plain,
    /// Honest, on bad lines: slow uploads and slow readers.
    Slow,
    /// Ignores limits, lies, breaks off.
    Hostile,
}

/// How a wish ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// Answered with success, this long after the wish.
    Served(Duration),
    /// Held back by the client's own throttle.
    HeldBack,
    /// 429.
    Limited,
    /// 503.
    TurnedAway,
    /// 500: a fault of the program.
    Broken,
    /// Any other answer.
    Refused,
    /// Refused, reset or cut off.
    NoContact,
    /// No answer in time.
    Late,
}

/// How the wishes of one second ended, whenever they ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Second {
    /// Wishes.
    pub wanted: u32,
    /// Answered with success in time.
    pub served: u32,
    /// Held back by the client's own throttle.
    pub held_back: u32,
    /// 429.
    pub limited: u32,
    /// 503.
    pub turned_away: u32,
    /// 500.
    pub broken: u32,
    /// Other answers.
    pub refused: u32,
    /// Refused, reset or cut off.
    pub no_contact: u32,
    /// No answer in time.
    pub late: u32,
    /// Latencies of served wishes; written as p50 and p99.
    #[serde(rename = "latency_ms", serialize_with = "quantiles")]
    pub latencies_ms: Vec<f32>,
}

/// All classes of one second.
pub type Row = [Second; 4];

/// Counts for one program.
#[derive(Debug)]
pub struct Tally {
    started: Instant,
    rows: Mutex<Vec<Row>>,
}

impl Class {
    /// All classes, in the order of a [`Row`].
    pub const ALL: [Self; 4] = [Self::Obeying, Self::Plain, Self::Slow, Self::Hostile];
    /// The classes whose goodput is judged.
    pub const HONEST: [Self; 2] = [Self::Obeying, Self::Plain];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Obeying => "obeying",
            Self::Plain => "plain",
            Self::Slow => "slow",
            Self::Hostile => "hostile",
        }
    }
}

impl Ending {
    /// How an exchange ended whose wish came at `wanted`.
    #[must_use]
    pub fn of(answer: &Result<Answer, NoAnswer>, wanted: Instant) -> Self {
        match answer {
            Ok(answer) => Self::of_status(answer.status.as_u16(), wanted),
            Err(NoAnswer::NoContact) => Self::NoContact,
            Err(NoAnswer::Late) => Self::Late,
        }
    }

    /// The same by the status code alone.
    #[must_use]
    pub fn of_status(status: u16, wanted: Instant) -> Self {
        match status {
            200..=299 => Self::Served(wanted.elapsed()),
            429 => Self::Limited,
            503 => Self::TurnedAway,
            500 => Self::Broken,
            _ => Self::Refused,
        }
    }
}

impl Second {
    fn count(&mut self, ending: Ending) {
        self.wanted += 1;
        match ending {
            Ending::Served(latency) => {
                self.served += 1;
                self.latencies_ms.push(latency.as_secs_f32() * 1000.0);
            }
            Ending::HeldBack => self.held_back += 1,
            Ending::Limited => self.limited += 1,
            Ending::TurnedAway => self.turned_away += 1,
            Ending::Broken => self.broken += 1,
            Ending::Refused => self.refused += 1,
            Ending::NoContact => self.no_contact += 1,
            Ending::Late => self.late += 1,
        }
    }

    /// The sum of many seconds.
    #[must_use]
    pub fn sum<'a>(seconds: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for second in seconds {
            sum.wanted += second.wanted;
            sum.served += second.served;
            sum.held_back += second.held_back;
            sum.limited += second.limited;
            sum.turned_away += second.turned_away;
            sum.broken += second.broken;
            sum.refused += second.refused;
            sum.no_contact += second.no_contact;
            sum.late += second.late;
            sum.latencies_ms.extend(&second.latencies_ms);
        }
        sum
    }

    /// Share of the wishes that was served, 0 to 1; 1 without wishes.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.wanted == 0 { 1.0 } else { f64::from(self.served) / f64::from(self.wanted) }
    }

    /// A quantile, 0 to 1, of the latencies in milliseconds; `None` if no wish was served.
    #[must_use]
    pub fn latency_ms(&self, quantile: f64) -> Option<f32> {
        value_at(&self.latencies_ms, quantile)
    }
}

fn value_at(values: &[f32], quantile: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn quantiles<S: Serializer>(latencies: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    [value_at(latencies, 0.5), value_at(latencies, 0.99)].serialize(serializer)
}

impl Tally {
    /// The counts of a run that begins at `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self { started, rows: Mutex::default() }
    }

    /// Counts a wish in the second in which it came.
    pub fn count(&self, class: Class, wanted: Instant, ending: Ending) {
        let index = wanted.saturating_duration_since(self.started).as_secs() as usize;
        if index >= MOST_SECONDS {
            return;
        }
        let mut rows = self.lock();
        if rows.len() <= index {
            rows.resize_with(index + 1, Row::default);
        }
        rows[index][class as usize].count(ending);
    }

    /// All seconds so far.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.lock().clone()
    }

    /// The sum of a class over the last `seconds` seconds that ended two seconds ago or earlier: most of their wishes have
    /// ended.
    #[must_use]
    pub fn lately(&self, class: Class, seconds: usize) -> Second {
        let rows = self.lock();
        let end = (self.started.elapsed().as_secs() as usize).saturating_sub(2).min(rows.len());
        Second::sum(rows[end.saturating_sub(seconds)..end].iter().map(|row| &row[class as usize]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_counts_in_the_second_in_which_it_was_wanted() {
        let started = Instant::now();
        let tally = Tally::new(started);
        let at = |seconds| started + Duration::from_secs(seconds);
        tally.count(Class::Plain, at(2), Ending::Served(Duration::from_millis(20)));
        tally.count(Class::Plain, at(2), Ending::TurnedAway);
        tally.count(Class::Obeying, at(0), Ending::HeldBack);
        tally.count(Class::Obeying, at(u64::from(u32::MAX)), Ending::HeldBack);
        let rows = tally.rows();
        assert_eq!(rows.len(), 3);
        let plain = &rows[2][Class::Plain as usize];
        assert_eq!((plain.wanted, plain.served, plain.turned_away), (2, 1, 1));
        assert_eq!((plain.share(), plain.latency_ms(0.99)), (0.5, Some(20.0)));
        assert_eq!(rows[0][Class::Obeying as usize].held_back, 1);
        assert_eq!(rows[1][Class::Obeying as usize].share(), 1.0);
    }

    #[test]
    fn quantiles_are_those_of_the_served() {
        let second = Second { latencies_ms: (1..=100).rev().map(|ms| ms as f32).collect(), ..Second::default() };
        assert_eq!(
            (second.latency_ms(0.5), second.latency_ms(0.99), second.latency_ms(1.0)),
            (Some(50.0), Some(99.0), Some(100.0))
        );
        assert_eq!(Second::default().latency_ms(0.5), None);
    }
}
