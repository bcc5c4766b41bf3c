//! When to open the event stream and when to ask for the config: decisions without clock or I/O.
//!
//! The stream is preferred; without one, the config route is asked from time to time. Times are those of the front's clock.
//! `chance` is a random number from 0 to 1 that spreads what many clients would otherwise do at the same moment.

use std::time::Duration;

use poolgate_types::timing::{
    LEAST_RETURN, LONGEST_RETRY, LONGEST_RETURN, RETRY, RETURN_WITHIN, SILENCE, SILENCE_ENFORCED,
};

/// How long a new stream may take to deliver its first event before the route is asked instead.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);
/// After a broken stream a client asks within this part of the time within which clients come back.
const ASKING: f64 = 0.4;
/// After this time a hidden page closes its stream: over HTTP/1.1 a browser has six connections per host for all tabs.
const HIDDEN_GRACE: Duration = Duration::from_secs(10);
/// A page that is shown again asks at most this often.
const LOOK_SPACING: Duration = Duration::from_secs(5);
/// A client without a stream that learns of a newer config asks within this time.
const SOON: Duration = Duration::from_secs(2);
/// Range of `poll_after_seconds`.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How configs may arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The route is asked. A page with many tabs has no stream for each.
    #[default]
    Poll,
    /// Over the event stream, and by asking while there is none.
    Auto,
    /// Over the event stream. Asked is only after it broke.
    Sse,
}

/// What a client is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the event stream.
    OpenStream,
    /// Close it.
    CloseStream,
    /// Ask the config route.
    Ask,
}

/// The deadlines of one client's transport. There are none until it [leads](Self::lead).
#[derive(Debug)]
pub struct Plan {
    mode: Mode,
    stream: Stream,
    stream_at: Option<Duration>,
    ask_at: Option<Duration>,
    hide_at: Option<Duration>,
    is_resting: bool,
    is_ended: bool,
    /// How often to ask: the server's interval, before the first config the app's.
    interval: Duration,
    is_asking: bool,
    stream_failures: u32,
    ask_failures: u32,
    last_news: Option<Duration>,
    /// The time within which clients come back when the stream ends.
    return_within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Absent,
    /// Open or opening; given up at that time.
    Until {
        silent_at: Duration,
        has_spoken: bool,
    },
}

impl Plan {
    /// A plan that does nothing yet. Without `has_streams` the client polls in any mode. `interval`: how often to ask
    /// before the server says how often.
    pub fn new(mode: Mode, has_streams: bool, interval: Duration) -> Self {
        Self {
            mode: if has_streams { mode } else { Mode::Poll },
            stream: Stream::Absent,
            stream_at: None,
            ask_at: None,
            hide_at: None,
            is_resting: true,
            is_ended: false,
            interval,
            is_asking: false,
            stream_failures: 0,
            ask_failures: 0,
            last_news: None,
            return_within: RETURN_WITHIN,
        }
    }

    /// Looks for news from now on.
    pub fn lead(&mut self, now: Duration) {
        if self.is_ended {
            return;
        }
        self.is_resting = false;
        if self.mode != Mode::Poll {
            self.stream_at = Some(now);
        }
        // The known config may be old, and a stream can be slow to open.
        if self.mode == Mode::Poll || (self.last_news.is_some() && self.is_old(now)) {
            self.ask_at = Some(now);
        }
    }

    /// Does nothing until it leads again: the page is left.
    pub fn rest(&mut self) {
        self.is_resting = true;
        self.stop();
    }

    /// The next action; to be called until there is none.
    pub fn next(&mut self, now: Duration, chance: f64) -> Option<Action> {
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_due(self.hide_at) {
            self.stop();
            self.ask_later(now, chance);
            return Some(Action::CloseStream);
        }
        if let Stream::Until { silent_at, .. } = self.stream
            && silent_at <= now
        {
            self.stream_lost(now, chance);
            return Some(Action::CloseStream);
        }
        if is_due(self.stream_at) {
            self.stream_at = None;
            self.stream = Stream::Until { silent_at: now + STREAM_PATIENCE, has_spoken: false };
            return Some(Action::OpenStream);
        }
        if is_due(self.ask_at) && !self.is_asking {
            self.ask_at = None;
            self.is_asking = true;
            return Some(Action::Ask);
        }
        None
    }

    /// When [`next`](Self::next) is to be called again.
    pub fn next_deadline(&self) -> Option<Duration> {
        let silent_at = match self.stream {
            Stream::Until { silent_at, .. } => Some(silent_at),
            Stream::Absent => None,
        };
        let ask_at = self.ask_at.filter(|_| !self.is_asking);
        [self.hide_at, silent_at, self.stream_at, ask_at].into_iter().flatten().min()
    }

    /// The stream delivered something. `enforced`: limits are in force.
    pub fn heard(&mut self, enforced: bool, now: Duration) {
        let Stream::Until { has_spoken, .. } = self.stream else { return };
        if !has_spoken {
            // The stream replaces the asking.
            self.ask_at = None;
            self.stream_failures = 0;
            self.ask_failures = 0;
        }
        let silence = if enforced { SILENCE_ENFORCED } else { SILENCE };
        self.stream = Stream::Until { silent_at: now + silence, has_spoken: true };
        self.last_news = Some(now);
    }

    /// The stream broke, or never began.
    pub fn stream_lost(&mut self, now: Duration, chance: f64) {
        if self.is_ended {
            return;
        }
        self.stream = Stream::Absent;
        self.stream_failures = self.stream_failures.saturating_add(1);
        let more = self.return_within.saturating_sub(RETURN_WITHIN).mul_f64(chance);
        self.stream_at = Some(now + backoff(self.stream_failures, chance) + more);
        self.ask_by(now + self.return_within.mul_f64(ASKING * chance));
    }

    /// The server ended the stream in order.
    pub fn stream_ended(&mut self, now: Duration, chance: f64) {
        if self.is_ended {
            return;
        }
        self.stream = Stream::Absent;
        self.stream_at = Some(now + LEAST_RETURN + self.return_within.mul_f64(chance));
    }

    /// The server sets the time within which clients come back when the stream ends. It grows with their number. At most
    /// ten minutes.
    pub fn return_within(&mut self, time: Duration) {
        self.return_within = time.min(LONGEST_RETURN);
    }

    /// The route was asked. `interval`: how often the server wants to be asked, from one second to an hour.
    pub fn asked(&mut self, is_answered: bool, interval: Option<Duration>, now: Duration, chance: f64) {
        self.is_asking = false;
        if self.is_ended {
            return;
        }
        if let Some(interval) = interval {
            self.interval = interval.clamp(INTERVALS.0, INTERVALS.1);
        }
        if is_answered {
            self.ask_failures = 0;
            self.last_news = Some(now);
        } else {
            self.ask_failures = self.ask_failures.saturating_add(1);
        }
        if self.is_streaming() || self.mode == Mode::Sse || self.is_resting || self.ask_at.is_some() {
            return;
        }
        if is_answered {
            self.ask_later(now, chance);
        } else {
            self.ask_at = Some(now + backoff(self.ask_failures, chance).min(self.interval));
        }
    }

    /// The server has a newer config, and no stream brings it.
    pub fn ask_soon(&mut self, now: Duration, chance: f64) {
        if !self.is_ended && !self.is_asking {
            self.ask_by(now + SOON.mul_f64(chance));
        }
    }

    /// The page is hidden.
    pub fn hidden(&mut self, now: Duration) {
        if self.mode == Mode::Auto && !self.is_ended && !self.is_resting {
            self.hide_at = Some(now + HIDDEN_GRACE);
        }
    }

    /// The page is shown again, or the network is back. The stream may have died unnoticed, so the route is asked as well.
    pub fn shown(&mut self, now: Duration) {
        if self.is_ended || self.is_resting {
            return;
        }
        self.hide_at = None;
        self.stream_failures = 0;
        if self.mode != Mode::Poll && self.stream == Stream::Absent {
            self.stream_at = Some(now);
        }
        if self.is_old(now) {
            self.ask_at = Some(now);
        }
    }

    /// Ends for good: the client is closed, or the server has no such route.
    pub fn end(&mut self) {
        self.stop();
        self.is_ended = true;
    }

    /// The stream delivers.
    pub fn is_streaming(&self) -> bool {
        matches!(self.stream, Stream::Until { has_spoken: true, .. })
    }

    /// News has arrived, by whichever way, and more is looked for.
    pub fn is_informed(&self) -> bool {
        self.last_news.is_some() && !self.is_ended
    }

    fn stop(&mut self) {
        self.stream = Stream::Absent;
        (self.stream_at, self.ask_at, self.hide_at) = (None, None, None);
    }

    fn is_old(&self, now: Duration) -> bool {
        self.last_news.is_none_or(|last| last + LOOK_SPACING <= now)
    }

    fn ask_by(&mut self, at: Duration) {
        self.ask_at = Some(self.ask_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn ask_later(&mut self, now: Duration, chance: f64) {
        // +-20 %.
        self.ask_at = Some(now + self.interval.mul_f64(0.8 + 0.4 * chance));
    }
}

/// The wait after some failures: it doubles with each, and jitter takes up to half of it away.
fn backoff(failures: u32, chance: f64) -> Duration {
    let full = RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_RETRY);
    full.mul_f64(0.5 + 0.5 * chance)
}
