//! How the replicas of a cluster meet: exchanges with the store, and looks at the database's list of connections.

use std::time::Duration;

use poolgate_control::cluster::{self as control, Census, Exchange, MemoryStore, Seen, Sketch};
use poolgate_types::{rng::mix, timing};

use super::{Event, World};
use crate::{
    cluster::Turn,
    random::{Random, seconds},
};

/// What the replicas share besides the database.
pub(super) struct Cluster {
    pub(super) store: MemoryStore,
    pub(super) store_works: bool,
    pub(super) random: Random,
    one_way: Duration,
    loss: f64,
}

impl Cluster {
    pub(super) fn new(settings: &crate::scenario::Cluster, random: Random) -> Self {
        let one_way = seconds(settings.exchange_ms / 2000.0);
        Self { store: MemoryStore::default(), store_works: true, random, one_way, loss: settings.loss }
    }

    /// When a message that is sent now arrives; `None` if it is lost.
    fn send(&mut self, now: Duration) -> Option<Duration> {
        let arrives = now + self.random.around(self.one_way);
        (self.random.unit() >= self.loss).then_some(arrives)
    }
}

impl World<'_> {
    /// A replica's turn has come: it begins an exchange.
    pub(super) fn meet(&mut self, number: u32, step: u64) {
        let now = self.now;
        self.take_share(number);
        let pollers = self.pollers(number);
        let Some(cluster) = &mut self.cluster else { return };
        let Some(member) = self.servers[number as usize].member.as_mut().filter(|member| member.is_at(step)) else {
            return;
        };
        let audience = control::Audience { pollers, ..control::Audience::default() };
        let (write, Turn { at, step }) = member.begin(audience, now);
        self.meter.cluster.exchanges += 1;
        self.meter.cluster.messages += 1;
        self.schedule.at(at, Event::Silence(number, step));
        if let Some(arrives) = cluster.send(now) {
            self.schedule.at(arrives, Event::Write(number, step, Box::new(write)));
        }
    }

    /// A write reaches the store, which answers.
    pub(super) fn write(&mut self, number: u32, step: u64, write: Exchange) {
        let reaches_store = self.server(number).member.as_ref().is_some_and(|member| member.reaches_store);
        let Some(cluster) = &mut self.cluster else { return };
        let is_taken = reaches_store && cluster.store_works;
        let seen = is_taken.then(|| Box::new(cluster.store.exchange(write)));
        self.meter.cluster.messages += 1;
        if let Some(arrives) = cluster.send(self.now) {
            self.schedule.at(arrives, Event::Read(number, step, seen));
        }
    }

    /// The store has answered, or refused. Then the replica looks at the database's list, if it is time.
    pub(super) fn read(&mut self, number: u32, step: u64, seen: Option<Seen>) {
        let (now, is_refused) = (self.now, seen.is_none());
        let Some(member) = self.server(number).member.as_mut().filter(|member| member.is_at(step)) else { return };
        if member.end(seen, now) {
            return self.leave_cluster(number);
        }
        let look = member.begin_look(now);
        self.take_share(number);
        match look {
            Some(turn) => self.look(number, turn),
            None => self.rest(number, is_refused),
        }
    }

    fn look(&mut self, number: u32, Turn { at, step }: Turn) {
        self.schedule.at(at, Event::Silence(number, step));
        let census = self.census();
        let (now, works) = (self.now, self.database.answers());
        let Some(cluster) = &mut self.cluster else { return };
        self.meter.cluster.messages += 1;
        let arrives = cluster.send(now).filter(|_| works);
        self.meter.cluster.messages += u64::from(arrives.is_some());
        if let Some(answered) = arrives.and_then(|arrives| cluster.send(arrives)) {
            self.schedule.at(answered, Event::Listed(number, step, Box::new(census), now));
        }
    }

    pub(super) fn listed(&mut self, number: u32, step: u64, census: Census, asked: Duration) {
        let now = self.now;
        let Some(member) = self.server(number).member.as_mut().filter(|member| member.is_at(step)) else { return };
        member.look(census, asked, now);
        self.take_share(number);
        self.rest(number, false);
    }

    /// There was no answer in time, neither of the store nor of the database.
    pub(super) fn silence(&mut self, number: u32, step: u64) {
        let now = self.now;
        let Some(member) = self.server(number).member.as_mut().filter(|member| member.is_at(step)) else { return };
        if member.is_exchanging() && member.end(None, now) {
            return self.leave_cluster(number);
        }
        self.rest(number, true);
    }

    fn rest(&mut self, number: u32, is_refused: bool) {
        let Some(cluster) = &mut self.cluster else { return };
        let jitter = cluster.random.between(0.9, 1.1);
        let Some(member) = &mut self.servers[number as usize].member else { return };
        let Turn { at, step } = member.rest(jitter, is_refused, self.now);
        self.schedule.at(at, Event::Meet(number, step));
    }

    /// There is a reason for an exchange now.
    pub(super) fn hurry(&mut self, number: u32) {
        let now = self.now;
        if let Some(Turn { at, step }) = self.server(number).member.as_mut().and_then(|member| member.hurry(now)) {
            self.schedule.at(at, Event::Meet(number, step));
        }
    }

    /// Sizes a server's pool by its share. Without a cluster it does nothing.
    pub(super) fn take_share(&mut self, number: u32) {
        if self.cluster.is_none() || !self.server(number).up {
            return;
        }
        let now = self.now;
        self.server(number).take_share(now);
        self.connect(number);
    }

    /// The database's list of connections. Each server that is up keeps one for such questions.
    fn census(&self) -> Census {
        let listed = self.servers.iter().filter(|server| server.up || server.left_behind > 0);
        listed.filter_map(|server| Some((server.member.as_ref()?.replica.id(), server.connections()))).collect()
    }

    /// The clients without a stream that have polled a server lately.
    fn pollers(&self, number: u32) -> Sketch {
        let mut pollers = Sketch::default();
        let here =
            self.browsers.iter().zip(0_u64..).filter(|(browser, _)| browser.server == number && !browser.listens);
        for (_, client) in here.filter(|(browser, _)| browser.is_live(timing::TTL_ENFORCED, self.now)) {
            pollers.add(mix(client + 1));
        }
        pollers
    }
}
