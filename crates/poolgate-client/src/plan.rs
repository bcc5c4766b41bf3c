//! When to open the stream and when to ask: the transport's decisions, without clock or I/O.
//!
//! The stream is preferred; while it is not there, the config route is asked from time to time. `chance` is a random
//! number from 0 to 1: what many clients would do at the same moment is spread by it.

use std::time::Duration;

/// How long a new stream may take to deliver its first event, before the route is asked instead.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);
/// Heartbeats that may be missed before a stream counts as dead, times their spacing: 5 s while limits act, else 15 s.
const SILENCE_ENFORCED: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(45);
/// Shortest and longest wait after a failure; it doubles in between.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The clients of a stream that is over come back within this time, as long as the server has not said another, and at the
/// most.
const RETURN_WITHIN: Duration = Duration::from_millis(2500);
const LONGEST_RETURN: Duration = Duration::from_secs(600);
/// Least wait before.
const LEAST_RETURN: Duration = Duration::from_millis(500);
/// If it broke, they ask within this part of that time.
const ASKING: f64 = 0.4;
/// A page that stays hidden gives its stream back: over HTTP/1.1 a browser has six connections per host for all tabs.
const HIDDEN_GRACE: Duration = Duration::from_secs(10);
/// Looking at a page again asks at most this often.
const LOOK_SPACING: Duration = Duration::from_secs(5);
/// While limits act, a client without a stream that learns of a newer config asks within this time.
const SOON: Duration = Duration::from_secs(2);
/// Limits for `poll_after_seconds`.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How the app wants configs to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The event stream, polling while there is none.
    Auto,
    /// The event stream alone.
    Sse,
    /// Polling alone.
    Poll,
}

/// What the transport is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    OpenStream,
    CloseStream,
    Poll,
}

/// The deadlines of one transport.
#[derive(Debug)]
pub(crate) struct Plan {
    mode: Mode,
    stream: Stream,
    stream_at: Option<Duration>,
    poll_at: Option<Duration>,
    hide_at: Option<Duration>,
    ended: bool,
    /// Another client of this browser looks for news.
    following: bool,
    /// How often to ask; the server's word, else the app's.
    interval: Duration,
    polling: bool,
    stream_failures: u32,
    poll_failures: u32,
    last_news: Option<Duration>,
    /// Within which time to come back when the stream is over.
    return_within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Absent,
    /// Open or opening; counts as dead at that time.
    Until {
        silent_at: Duration,
        heard: bool,
    },
}

impl Plan {
    /// A plan to do nothing before it [leads](Self::lead). Without `EventSource` a client polls, whatever the mode.
    pub(crate) fn new(mode: Mode, streams: bool, interval: Duration) -> Self {
        Self {
            mode: if streams { mode } else { Mode::Poll },
            stream: Stream::Absent,
            stream_at: None,
            poll_at: None,
            hide_at: None,
            ended: false,
            following: true,
            interval,
            polling: false,
            stream_failures: 0,
            poll_failures: 0,
            last_news: None,
            return_within: RETURN_WITHIN,
        }
    }

    /// Looks for news from now on.
    pub(crate) fn lead(&mut self, now: Duration) {
        if self.ended {
            return;
        }
        self.following = false;
        if self.mode != Mode::Poll {
            self.stream_at = Some(now);
        }
        // What is known may be old, and a stream can take its time.
        if self.mode == Mode::Poll || self.last_news.is_some_and(|last| last + LOOK_SPACING <= now) {
            self.poll_at = Some(now);
        }
    }

    /// Leaves it to another client.
    pub(crate) fn follow(&mut self) {
        self.following = true;
        self.stream = Stream::Absent;
        (self.stream_at, self.poll_at, self.hide_at) = (None, None, None);
    }

    /// The other client has news.
    pub(crate) fn heard_of(&mut self, now: Duration) {
        self.last_news = Some(now);
        if self.following {
            self.poll_at = None;
        }
    }

    /// The next thing to do at `now`; call it until it answers `None`.
    pub(crate) fn next(&mut self, now: Duration, chance: f64) -> Option<Action> {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(self.hide_at) {
            self.hide_at = None;
            self.stream = Stream::Absent;
            self.stream_at = None;
            self.poll_later(now, chance);
            return Some(Action::CloseStream);
        }
        if let Stream::Until { silent_at, .. } = self.stream
            && silent_at <= now
        {
            self.stream_lost(now, chance);
            return Some(Action::CloseStream);
        }
        if due(self.stream_at) {
            self.stream_at = None;
            self.stream = Stream::Until { silent_at: now + STREAM_PATIENCE, heard: false };
            return Some(Action::OpenStream);
        }
        if due(self.poll_at) && !self.polling {
            self.poll_at = None;
            self.polling = true;
            return Some(Action::Poll);
        }
        None
    }

    /// When [`next`](Self::next) has something again.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let silent_at = match self.stream {
            Stream::Until { silent_at, .. } => Some(silent_at),
            Stream::Absent => None,
        };
        let poll_at = if self.polling { None } else { self.poll_at };
        [self.hide_at, silent_at, self.stream_at, poll_at].into_iter().flatten().min()
    }

    /// The stream delivered something.
    pub(crate) fn heard(&mut self, enforced: bool, now: Duration) {
        let Stream::Until { heard, .. } = self.stream else { return };
        if !heard {
            // It does what the polls were for.
            self.poll_at = None;
            self.stream_failures = 0;
            self.poll_failures = 0;
        }
        let silence = if enforced { SILENCE_ENFORCED } else { SILENCE };
        self.stream = Stream::Until { silent_at: now + silence, heard: true };
        self.last_news = Some(now);
    }

    /// The stream broke, or never began.
    pub(crate) fn stream_lost(&mut self, now: Duration, chance: f64) {
        if self.ended {
            return;
        }
        self.stream = Stream::Absent;
        self.stream_failures = self.stream_failures.saturating_add(1);
        let more = self.return_within.saturating_sub(RETURN_WITHIN).mul_f64(chance);
        self.stream_at = Some(now + backoff(self.stream_failures, chance) + more);
        let ask = now + self.return_within.mul_f64(ASKING * chance);
        self.poll_at = Some(self.poll_at.map_or(ask, |at| at.min(ask)));
    }

    /// The server ended the stream in order.
    pub(crate) fn stream_ended(&mut self, now: Duration, chance: f64) {
        if self.ended {
            return;
        }
        self.stream = Stream::Absent;
        self.stream_at = Some(now + LEAST_RETURN + self.return_within.mul_f64(chance));
    }

    /// The server says within which time to come back when the stream is over: the more clients it has, the longer.
    pub(crate) fn return_within(&mut self, time: Duration) {
        self.return_within = time.min(LONGEST_RETURN);
    }

    /// The route was asked; `interval` is what the server says about the next time.
    pub(crate) fn polled(&mut self, answered: bool, interval: Option<Duration>, now: Duration, chance: f64) {
        self.polling = false;
        if self.ended {
            return;
        }
        if let Some(interval) = interval {
            self.interval = interval.clamp(POLL_INTERVAL.0, POLL_INTERVAL.1);
        }
        if answered {
            self.poll_failures = 0;
            self.last_news = Some(now);
        } else {
            self.poll_failures = self.poll_failures.saturating_add(1);
        }
        if self.is_streaming() || self.mode == Mode::Sse || self.following || self.poll_at.is_some() {
            return;
        }
        if answered {
            self.poll_later(now, chance);
        } else {
            self.poll_at = Some(now + backoff(self.poll_failures, chance).min(self.interval));
        }
    }

    /// There is news that this client does not have, and no stream brings it: ask soon.
    pub(crate) fn fetch_soon(&mut self, now: Duration, chance: f64) {
        if self.ended || self.polling {
            return;
        }
        let ask = now + SOON.mul_f64(chance);
        self.poll_at = Some(self.poll_at.map_or(ask, |at| at.min(ask)));
    }

    /// The page is not looked at any more.
    pub(crate) fn hidden(&mut self, now: Duration) {
        if self.mode == Mode::Auto && !self.ended && !self.following {
            self.hide_at = Some(now + HIDDEN_GRACE);
        }
    }

    /// The page is looked at again, or the network is back. A stream may have died unnoticed, so ask in any case.
    pub(crate) fn shown(&mut self, now: Duration) {
        if self.ended || self.following {
            return;
        }
        self.hide_at = None;
        self.stream_failures = 0;
        if self.mode != Mode::Poll && self.stream == Stream::Absent {
            self.stream_at = Some(now);
        }
        if self.last_news.is_none_or(|last| last + LOOK_SPACING <= now) {
            self.poll_at = Some(now);
        }
    }

    /// Nothing more to do: the client is closed, or the server has no such route.
    pub(crate) fn end(&mut self) {
        self.stream = Stream::Absent;
        (self.stream_at, self.poll_at, self.hide_at) = (None, None, None);
        self.ended = true;
    }

    /// The stream delivers.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.stream, Stream::Until { heard: true, .. })
    }

    /// Another client looks for news.
    pub(crate) const fn is_following(&self) -> bool {
        self.following
    }

    /// News has arrived, by whichever way, and more is looked for.
    pub(crate) fn is_informed(&self) -> bool {
        self.last_news.is_some() && !self.ended
    }

    fn poll_later(&mut self, now: Duration, chance: f64) {
        // 20 % to either side.
        self.poll_at = Some(now + self.interval.mul_f64(0.8 + 0.4 * chance));
    }
}

/// Doubles with each failure, and is drawn from the upper half.
fn backoff(failures: u32, chance: f64) -> Duration {
    let (shortest, longest) = BACKOFF;
    let full = shortest.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
    full.mul_f64(0.5 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plan(mode: Mode) -> Plan {
        let mut plan = Plan::new(mode, true, INTERVAL);
        plan.lead(Duration::ZERO);
        plan
    }

    /// Everything that is due at `now`.
    fn drain(plan: &mut Plan, now: Duration) -> Vec<Action> {
        std::iter::from_fn(|| plan.next(now, 0.5)).collect()
    }

    #[test]
    fn a_stream_that_delivers_is_enough() {
        let mut plan = plan(Mode::Auto);
        assert_eq!(drain(&mut plan, Duration::ZERO), [Action::OpenStream]);
        plan.heard(false, seconds(1));
        assert!(plan.is_streaming());
        assert_eq!(plan.next_deadline(), Some(seconds(46)), "only silence is watched");
    }

    #[test]
    fn many_clients_come_back_over_the_time_that_the_server_said() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        plan.return_within(seconds(20));
        plan.stream_ended(seconds(1), 0.5);
        assert_eq!(plan.next_deadline(), Some(Duration::from_millis(11_500)));
        assert_eq!(drain(&mut plan, seconds(12)), [Action::OpenStream]);
        plan.heard(true, seconds(12));
        plan.stream_lost(seconds(20), 0.5);
        assert_eq!(plan.next_deadline(), Some(seconds(24)), "it asks");
        assert_eq!(drain(&mut plan, seconds(24)), [Action::Poll]);
        assert_eq!(plan.next_deadline(), Some(Duration::from_millis(29_500)), "it opens another stream");
        plan.return_within(Duration::MAX);
        plan.stream_ended(seconds(40), 1.0);
        assert_eq!(plan.stream_at, Some(Duration::from_millis(640_500)), "within ten minutes, whatever it says");
    }

    #[test]
    fn a_stream_that_never_begins_is_replaced_by_polling_and_tried_again() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        assert_eq!(drain(&mut plan, seconds(5)), [Action::CloseStream]);
        // Half a second of spread for the poll, three quarters of one second for the stream.
        assert_eq!(plan.next_deadline(), Some(Duration::from_millis(5500)));
        assert_eq!(drain(&mut plan, seconds(6)), [Action::OpenStream, Action::Poll]);
        plan.polled(true, Some(seconds(5)), seconds(6), 0.5);
        assert!(!plan.is_streaming() && plan.is_informed());
        assert_eq!(drain(&mut plan, seconds(11)), [Action::CloseStream, Action::Poll]);
    }

    #[test]
    fn silence_ends_a_stream_sooner_while_limits_act() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        plan.heard(true, seconds(1));
        assert_eq!(drain(&mut plan, seconds(15)), []);
        assert_eq!(drain(&mut plan, seconds(16)), [Action::CloseStream]);
        assert!(!plan.is_streaming());
    }

    #[test]
    fn stream_retries_back_off_to_half_a_minute() {
        let mut plan = plan(Mode::Sse);
        let waits: Vec<_> = (0..8)
            .map(|_| {
                plan.stream_lost(Duration::ZERO, 1.0);
                plan.stream_at.unwrap_or_default().as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn polls_are_spread_by_a_fifth_and_failures_back_off() {
        for (chance, expected) in [(0.0, 24), (1.0, 36)] {
            let mut plan = plan(Mode::Poll);
            assert_eq!(drain(&mut plan, Duration::ZERO), [Action::Poll]);
            plan.polled(true, None, Duration::ZERO, chance);
            assert_eq!(plan.next_deadline(), Some(seconds(expected)));
        }
        let mut plan = plan(Mode::Poll);
        drain(&mut plan, Duration::ZERO);
        plan.polled(false, None, Duration::ZERO, 1.0);
        assert_eq!(plan.next_deadline(), Some(seconds(1)));
    }

    #[test]
    fn a_server_cannot_ask_for_a_flood_of_polls() {
        let mut plan = plan(Mode::Poll);
        drain(&mut plan, Duration::ZERO);
        plan.polled(true, Some(Duration::ZERO), Duration::ZERO, 0.5);
        assert_eq!(plan.next_deadline(), Some(seconds(1)));
    }

    #[test]
    fn a_hidden_page_gives_its_stream_back_and_takes_it_again() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        plan.heard(false, Duration::ZERO);
        plan.hidden(seconds(1));
        assert_eq!(drain(&mut plan, seconds(10)), []);
        assert_eq!(drain(&mut plan, seconds(11)), [Action::CloseStream]);
        assert_eq!(plan.next_deadline(), Some(seconds(41)), "it goes on asking");
        plan.shown(seconds(20));
        assert_eq!(drain(&mut plan, seconds(20)), [Action::OpenStream, Action::Poll]);
    }

    #[test]
    fn a_glance_at_another_tab_changes_nothing() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        plan.heard(false, seconds(7));
        plan.hidden(seconds(8));
        plan.shown(seconds(9));
        assert_eq!(drain(&mut plan, seconds(30)), []);
        assert!(plan.is_streaming());
    }

    #[test]
    fn one_poll_at_a_time() {
        let mut plan = plan(Mode::Poll);
        assert_eq!(drain(&mut plan, Duration::ZERO), [Action::Poll]);
        plan.fetch_soon(Duration::ZERO, 0.0);
        plan.shown(seconds(9));
        assert_eq!(drain(&mut plan, seconds(9)), []);
    }

    #[test]
    fn who_follows_does_nothing_until_it_leads() {
        let mut plan = Plan::new(Mode::Auto, true, INTERVAL);
        plan.shown(seconds(1));
        plan.hidden(seconds(2));
        assert_eq!((drain(&mut plan, seconds(60)), plan.next_deadline()), (vec![], None));
        plan.heard_of(seconds(60));
        plan.lead(seconds(61));
        assert_eq!(drain(&mut plan, seconds(61)), [Action::OpenStream], "what it was told is young");
        plan.follow();
        assert_eq!((drain(&mut plan, seconds(90)), plan.next_deadline()), (vec![], None));
        plan.lead(seconds(90));
        assert_eq!(drain(&mut plan, seconds(90)), [Action::OpenStream, Action::Poll]);
    }

    #[test]
    fn who_follows_asks_for_what_it_missed_unless_it_is_told() {
        let mut plan = Plan::new(Mode::Auto, true, INTERVAL);
        plan.fetch_soon(seconds(1), 0.5);
        plan.heard_of(seconds(1));
        assert_eq!(drain(&mut plan, seconds(5)), []);
        plan.fetch_soon(seconds(5), 0.5);
        assert_eq!(drain(&mut plan, seconds(7)), [Action::Poll]);
        plan.polled(true, None, seconds(7), 0.5);
        assert_eq!(plan.next_deadline(), None, "once");
    }

    #[test]
    fn the_end_is_the_end() {
        let mut plan = plan(Mode::Auto);
        drain(&mut plan, Duration::ZERO);
        plan.end();
        plan.polled(true, None, seconds(1), 0.5);
        assert_eq!(plan.next_deadline(), None);
    }
}
