//! A server's part in the cluster: what `poolgate_cluster::Membership` is in production, with the same times.

use std::time::Duration;

use poolgate_control::{
    Sample,
    cluster::{Audience, Census, Exchange, Mode, Part, Replica, ReplicaId, Seen, Settings, State, Totals},
};

use crate::random::Random;

/// Time between two exchanges, give or take a tenth; the shorter one until the replica has a grant, and while requests
/// queue or clients are limited.
const PERIOD: Duration = Duration::from_secs(1);
const SHORT_PERIOD: Duration = Duration::from_millis(250);
/// A new config is written at once, but not sooner than this after the exchange before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(150);
/// Looks at the database's list of connections in a time to live.
const LOOKS: u32 = 5;
/// Time limit for an exchange and for a look, by the replica's own clock.
const PATIENCE: Duration = Duration::from_secs(2);

/// One server's part.
pub(crate) struct Member {
    pub(crate) replica: Replica,
    /// What the server has counted since its start.
    pub(crate) totals: Totals,
    pub(crate) reaches_store: bool,
    /// It finishes its work and leaves.
    pub(crate) drains: bool,
    clock: Clock,
    /// Connections that its pool could use.
    wants: u32,
    /// Rises with each step, so an answer or an alarm that comes too late is known by the number of an earlier one.
    step: u64,
    doing: Doing,
    /// When it looked last.
    looked: Option<Duration>,
    /// Requests queue or clients are limited.
    is_busy: bool,
    /// There is a reason for an exchange, which came while another one was in progress.
    has_news: bool,
    /// The newest exchange tells the others that it has left.
    has_left: bool,
}

/// When something is due, and the number of the step that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) at: Duration,
    pub(crate) step: u64,
}

/// What a member waits for.
#[derive(Clone, Copy, Debug)]
enum Doing {
    /// Its next turn, since this moment.
    Rest(Duration),
    /// The store's answer.
    Exchange,
    /// The database's answer.
    Look,
}

/// A clock with an origin and a rate of its own.
#[derive(Clone, Copy, Debug)]
struct Clock {
    born: Duration,
    offset: Duration,
    rate: f64,
}

impl Member {
    /// A replica that starts now. Its clock is too fast or too slow by up to `clock_spread`.
    pub(crate) fn new(
        id: ReplicaId,
        settings: Settings,
        wants: u32,
        clock_spread: f64,
        random: &mut Random,
        now: Duration,
    ) -> Self {
        let offset = Duration::from_secs(random.below(100_000) as u64);
        let clock = Clock { born: now, offset, rate: 1.0 + clock_spread * random.between(-1.0, 1.0) };
        Self {
            replica: Replica::new(id, settings, clock.local(now)),
            totals: Totals::default(),
            reaches_store: true,
            drains: false,
            clock,
            wants,
            step: 0,
            doing: Doing::Rest(now),
            looked: None,
            is_busy: false,
            has_news: false,
            has_left: false,
        }
    }

    /// The time on its own clock.
    pub(crate) fn local(&self, now: Duration) -> Duration {
        self.clock.local(now)
    }

    /// Connections that its pool may have now.
    pub(crate) fn limit(&self, now: Duration) -> u32 {
        self.replica.limit(self.local(now)).min(self.wants)
    }

    /// Takes down what its pool has, and what follows for its state.
    pub(crate) fn report(&mut self, holds: u32, now: Duration) {
        let state = match self.replica.view(self.local(now)).mode {
            _ if self.drains && holds == 0 => State::Left,
            _ if self.drains => State::Draining,
            Mode::Shared => State::Serving,
            Mode::Static => State::Joining,
        };
        self.replica.connections(state, holds, self.wants);
    }

    /// Whether this step is the newest one.
    pub(crate) fn is_at(&self, step: u64) -> bool {
        self.step == step
    }

    /// Begins an exchange. It is given up at the returned moment.
    pub(crate) fn begin(&mut self, audience: Audience, now: Duration) -> (Exchange, Turn) {
        self.replica.set_audience(audience);
        let write = self.replica.begin(self.local(now));
        self.has_left = write.row.state == State::Left;
        (write, self.wait_for(Doing::Exchange, now))
    }

    /// Ends an exchange; `None` if the store refused it or was silent. Returns whether the replica has told the others that
    /// it has left.
    pub(crate) fn end(&mut self, seen: Option<Seen>, now: Duration) -> bool {
        self.replica.end(seen, self.local(now));
        self.has_left
    }

    /// Whether it waits for the store's answer.
    pub(crate) fn is_exchanging(&self) -> bool {
        matches!(self.doing, Doing::Exchange)
    }

    /// Begins a look at the database's list, if one is due. It is given up at the returned moment.
    pub(crate) fn begin_look(&mut self, now: Duration) -> Option<Turn> {
        let between = self.clock.real(self.replica.settings().ttl / LOOKS);
        if self.looked.is_some_and(|looked| now - looked < between) {
            return None;
        }
        self.looked = Some(now);
        Some(self.wait_for(Doing::Look, now))
    }

    /// Takes in what the database has listed when it was asked.
    pub(crate) fn look(&mut self, census: Census, asked: Duration, now: Duration) {
        self.replica.look(census, self.local(asked), self.local(now));
    }

    /// Waits for the next exchange, which begins at the returned moment. `jitter` is from 0.9 to 1.1.
    pub(crate) fn rest(&mut self, jitter: f64, is_refused: bool, now: Duration) -> Turn {
        self.doing = Doing::Rest(now);
        let is_joining = !is_refused && self.replica.view(self.local(now)).mode == Mode::Static;
        let period = if is_joining || self.is_busy { SHORT_PERIOD } else { PERIOD };
        let pause = if std::mem::take(&mut self.has_news) { SHORTEST_PAUSE } else { period.mul_f64(jitter) };
        self.next_step(now + self.clock.real(pause.max(SHORTEST_PAUSE)))
    }

    /// There is a reason for an exchange: it begins at the returned moment, unless one is in progress.
    pub(crate) fn hurry(&mut self, now: Duration) -> Option<Turn> {
        let Doing::Rest(since) = self.doing else {
            self.has_news = true;
            return None;
        };
        Some(self.next_step(now.max(since + self.clock.real(SHORTEST_PAUSE))))
    }

    /// Takes in what its server has decided in this tick. Returns whether there is a reason for an exchange.
    pub(crate) fn has_ticked(&mut self, sample: &Sample, now: Duration) -> bool {
        let is_offered_now = self.replica.offers_since() == Some(self.local(now));
        let is_limited = self.replica.config().is_some_and(|config| config.enforced);
        let is_busy = is_limited || sample.gate.queued > 0 || sample.gate.rejected > 0;
        let was_busy = std::mem::replace(&mut self.is_busy, is_busy);
        is_offered_now || (is_busy && !was_busy)
    }

    /// Counts what a sample contains.
    pub(crate) fn count(&mut self, sample: &Sample) {
        self.totals.arrivals += sample.gate.arrivals;
        self.totals.rejected += sample.gate.rejected;
        self.totals.over_quota += sample.gate.over_quota;
        self.totals.completed += sample.completed;
    }

    /// Whether it publishes for all.
    pub(crate) fn publishes(&self, now: Duration) -> bool {
        self.replica.part(self.local(now)) == Part::Publishes
    }

    /// Ends: nothing that comes later reaches it.
    pub(crate) fn stop(&mut self) {
        self.step += 1;
    }

    fn wait_for(&mut self, doing: Doing, now: Duration) -> Turn {
        self.doing = doing;
        self.next_step(now + self.clock.real(PATIENCE))
    }

    fn next_step(&mut self, at: Duration) -> Turn {
        self.step += 1;
        Turn { at, step: self.step }
    }
}

impl Clock {
    fn local(self, now: Duration) -> Duration {
        self.offset + now.saturating_sub(self.born).mul_f64(self.rate)
    }

    /// A time of this clock in real time.
    fn real(self, local: Duration) -> Duration {
        local.div_f64(self.rate)
    }
}
