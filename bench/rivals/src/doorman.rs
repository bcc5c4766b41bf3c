//! Doorman (YouTube, 2016): each client leases a rate. Rates are max-min fair shares of a configured capacity, so the
//! leases never add up to more.
//!
//! A lease is a mean rate. A client that leases its average demand and saves no tokens waits even when capacity is spare.
//! A client that sends every few seconds holds a share that it does not use and no other may use. Needs are as old as the
//! refresh interval, and the capacity is a constant: a database that becomes slower is flooded at the old rate. Each
//! refresh reads all leases: the server's work grows with the square of the number of clients.

use std::{collections::VecDeque, time::Duration};

use poolgate_control::Sample;
use poolgate_sim::{
    random::{Random, Stream},
    scenario::Scenario,
    scheme::{
        Client, Limiter, Message, Needs, Occupancy, Orders, Outcome, Publisher, Scheme, Tell, Transport, Verdict,
    },
    schemes::PoolgateGate,
};

use crate::{
    bucket::Bucket,
    line::{Line, Order},
};

/// A lease lasts for this many refreshes, as in the project's example configurations.
const REFRESHES: u32 = 4;
/// A client's first estimate of its own demand, in requests per second.
const FIRST_WISH: f64 = 1.0;
/// Seconds over which a client measures its demand; newer ones count more.
const WISH_WINDOW: u64 = 10;

/// Doorman with a refresh interval.
pub(crate) struct Doorman {
    name: &'static str,
    about: &'static str,
    refresh_seconds: u32,
    /// The rate that a client asks for, as a multiple of its recent demand.
    headroom: f64,
    /// Tokens that it may save up.
    saved: f64,
    order: Order,
}

impl Doorman {
    /// A refresh every 8 seconds; clients ask for their measured demand and save up nothing.
    pub(crate) const DEFAULT: Self = Self {
        name: "doorman",
        about: "Doorman's leases: fair share, 8 s, static capacity, and the CoDel gate",
        refresh_seconds: 8,
        headroom: 1.0,
        saved: 1.0,
        order: Order::OldestFirst,
    };
    /// A refresh every second; clients ask for twice their measured demand, may save up 4 tokens, and send the newest
    /// request first.
    pub(crate) const TUNED: Self = Self {
        name: "doorman-tuned",
        about: "Doorman's leases: 1 s, room for bursts, newest first",
        refresh_seconds: 1,
        headroom: 2.0,
        saved: 4.0,
        order: Order::NewestFirst,
    };
}

impl Scheme for Doorman {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn limiter(&self, scenario: &Scenario) -> Box<dyn Limiter> {
        Box::new(PoolgateGate::new(scenario))
    }

    fn publisher(&self, scenario: &Scenario, epoch: u64) -> Box<dyn Publisher> {
        let length = Duration::from_secs((self.refresh_seconds * REFRESHES).into());
        Box::new(Server { leases: Leases::new(scenario.capacity(), length), learns: epoch > 1, began_at: None })
    }

    fn client(&self, scenario: &Scenario, seed: u64) -> Box<dyn Client> {
        // Real clients do not all get their first lease in the same second.
        let first = Random::new(seed, Stream::Clients).unit();
        Box::new(Leaseholder {
            wishes: Wishes::default(),
            headroom: self.headroom,
            saved: self.saved,
            lease: HeldLease { bucket: Bucket::holding(first), ends: Duration::ZERO },
            line: Line::new(scenario.queue_timeout(), self.order),
        })
    }

    fn transport(&self) -> Transport {
        Transport::Poll { seconds: self.refresh_seconds.into(), together: false }
    }
}

/// The law: each client's lease of the capacity.
#[derive(Debug)]
struct Leases {
    capacity: f64,
    length: Duration,
    leases: Vec<Option<Lease>>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    has: f64,
    wants: f64,
    ends: Duration,
}

impl Leases {
    fn new(capacity: f64, length: Duration) -> Self {
        Self { capacity, length, leases: Vec::new() }
    }

    /// A client asks for a rate. Returns the rate that it gets.
    fn ask(&mut self, client: u32, wants: f64, now: Duration) -> f64 {
        self.forget_ended(now);
        let others: Vec<Lease> = self.others(client).collect();
        let free = self.capacity - others.iter().map(|lease| lease.has).sum::<f64>();
        let gets = fair_share(self.capacity, wants, &others).min(free).max(0.0);
        self.assign(client, gets, wants, now);
        gets
    }

    fn assign(&mut self, client: u32, has: f64, wants: f64, now: Duration) {
        let place = client as usize;
        if place >= self.leases.len() {
            self.leases.resize(place + 1, None);
        }
        self.leases[place] = Some(Lease { has, wants, ends: now + self.length });
    }

    fn has(&self, client: u32) -> Option<f64> {
        (*self.leases.get(client as usize)?).map(|lease| lease.has)
    }

    fn others(&self, client: u32) -> impl Iterator<Item = Lease> {
        let others = self.leases.iter().enumerate().filter(move |(place, _)| *place != client as usize);
        others.filter_map(|(_, lease)| *lease)
    }

    fn forget_ended(&mut self, now: Duration) {
        for place in &mut self.leases {
            if place.is_some_and(|lease| lease.ends <= now) {
                *place = None;
            }
        }
    }
}

/// An equal share for each client; unused parts go in equal shares to clients that want more, in two rounds.
fn fair_share(capacity: f64, wants: f64, others: &[Lease]) -> f64 {
    let equal = capacity / (others.len() + 1) as f64;
    if wants <= equal {
        return wants;
    }
    let first = equal + spare_part(equal, others);
    if wants < first {
        return wants;
    }
    let greedy: Vec<Lease> = others.iter().copied().filter(|other| other.wants > equal).collect();
    first + spare_part(first, &greedy)
}

/// The part that a client which wants more than `share` gets of the others' unused shares.
fn spare_part(share: f64, others: &[Lease]) -> f64 {
    let spare: f64 = others.iter().map(|other| (share - other.wants).max(0.0)).sum();
    let takers = others.iter().filter(|other| other.wants > share).count() + 1;
    spare / takers as f64
}

struct Server {
    leases: Leases,
    /// Leases from before a restart are still in force: for the length of a lease, each client keeps its own.
    learns: bool,
    began_at: Option<Duration>,
}

impl Publisher for Server {
    fn tick(&mut self, _sample: &Sample, _occupancy: &Occupancy, now: Duration, _tell: &mut Tell) -> Orders {
        let began_at = *self.began_at.get_or_insert(now);
        self.learns &= now < began_at + self.leases.length;
        Orders::default()
    }

    fn current(&mut self, client: u32) -> Option<Message> {
        self.leases.has(client).map(|rate| Message::Lease { rate, lasts: self.leases.length })
    }

    fn asked(&mut self, client: u32, needs: Needs, now: Duration) {
        if self.learns {
            self.leases.assign(client, needs.has, needs.wants, now);
        } else {
            self.leases.ask(client, needs.wants, now);
        }
    }
}

/// A client's recent demand.
#[derive(Debug, Default)]
struct Wishes {
    /// Seconds, and the requests in each.
    seconds: VecDeque<(u64, u32)>,
    last: Option<f64>,
}

impl Wishes {
    fn add(&mut self, now: Duration) {
        match self.seconds.back_mut() {
            Some((second, count)) if *second == now.as_secs() => *count += 1,
            _ => self.seconds.push_back((now.as_secs(), 1)),
        }
    }

    /// Demand in requests per second. Newer seconds count more, and it is never 0.
    fn rate(&mut self, now: Duration) -> f64 {
        let age = |second: u64| now.as_secs() - second;
        while self.seconds.front().is_some_and(|(second, _)| age(*second) >= WISH_WINDOW) {
            self.seconds.pop_front();
        }
        let weighed = self.seconds.iter().map(|(second, count)| u64::from(*count) * (WISH_WINDOW - age(*second)));
        let sum: u64 = weighed.sum();
        if sum > 0 {
            self.last = Some(sum as f64 * 2.0 / (WISH_WINDOW * (WISH_WINDOW + 1)) as f64);
        }
        self.last.unwrap_or(FIRST_WISH)
    }
}

struct Leaseholder {
    wishes: Wishes,
    headroom: f64,
    saved: f64,
    lease: HeldLease,
    line: Line,
}

/// The lease of a client, with its tokens.
struct HeldLease {
    bucket: Bucket,
    ends: Duration,
}

impl HeldLease {
    /// Takes a token if the lease is in force and there is one.
    fn take(&mut self, now: Duration) -> bool {
        now < self.ends && self.bucket.take(now)
    }
}

impl Client for Leaseholder {
    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        self.wishes.add(now);
        self.line.submit(request, now, || self.lease.take(now))
    }

    fn abort(&mut self, request: u32, _now: Duration) {
        self.line.remove(request);
    }

    fn complete(&mut self, _request: u32, _outcome: Outcome, _now: Duration) {}

    fn hear(&mut self, message: &Message, now: Duration) {
        if let Message::Lease { rate, lasts } = message {
            self.lease.bucket.set(*rate, self.saved, now);
            self.lease.ends = now + *lasts;
        }
    }

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        self.line.poll(now, || self.lease.take(now))
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let expiry = self.line.next_expiry()?;
        let ready = self.lease.bucket.ready_at().filter(|ready| *ready < self.lease.ends);
        Some(ready.map_or(expiry, |ready| ready.min(expiry)))
    }

    fn waiting(&self) -> usize {
        self.line.len()
    }

    fn needs(&mut self, now: Duration) -> Needs {
        let has = if now < self.lease.ends { self.lease.bucket.rate() } else { 0.0 };
        Needs { has, wants: self.headroom * self.wishes.rate(now) }
    }

    fn reload(&mut self, _random: &mut Random, _now: Duration) {
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{constant, run};

    fn shares(capacity: f64, wants: &[f64]) -> Vec<f64> {
        let mut leases = Leases::new(capacity, Duration::from_secs(60));
        for round in 0..3 {
            for (client, wants) in wants.iter().enumerate() {
                leases.ask(client as u32, *wants, Duration::from_secs(round));
            }
        }
        (0..wants.len()).filter_map(|client| leases.has(client as u32)).collect()
    }

    #[test]
    fn all_get_what_they_want_if_there_is_enough() {
        assert_eq!(shares(100.0, &[10.0, 20.0, 30.0]), [10.0, 20.0, 30.0]);
    }

    #[test]
    fn what_the_modest_leave_goes_to_those_who_want_more() {
        assert_eq!(shares(120.0, &[10.0, 1000.0, 1000.0]), [10.0, 55.0, 55.0]);
        assert_eq!(shares(120.0, &[10.0, 50.0, 1000.0]), [10.0, 50.0, 60.0]);
    }

    #[test]
    fn leases_never_add_up_to_more_than_the_capacity() {
        let mut random = Random::new(1, Stream::Demand);
        let mut leases = Leases::new(50.0, Duration::from_secs(5));
        for step in 0..5000 {
            let now = Duration::from_millis(10 * step);
            leases.ask(random.below(40) as u32, random.exponential() * 3.0, now);
            let sum: f64 = leases.others(u32::MAX).map(|lease| lease.has).sum();
            assert!(sum <= 50.0 + 1e-9, "{sum}");
        }
    }

    #[test]
    fn one_who_does_not_come_back_loses_the_lease() {
        let mut leases = Leases::new(10.0, Duration::from_secs(4));
        leases.ask(0, 10.0, Duration::ZERO);
        assert_eq!(leases.ask(1, 10.0, Duration::from_secs(3)), 0.0);
        assert_eq!(leases.ask(1, 10.0, Duration::from_secs(4)), 10.0);
    }

    #[test]
    fn newer_wishes_count_more() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.rate(Duration::ZERO), FIRST_WISH);
        wishes.add(Duration::ZERO);
        let fresh = wishes.rate(Duration::ZERO);
        let old = wishes.rate(Duration::from_secs(9));
        assert_eq!((fresh, old), (10.0 / 55.0, 1.0 / 55.0));
    }

    #[test]
    fn no_more_arrives_than_is_leased() {
        for name in ["doorman", "doorman-tuned"] {
            let report = run(&constant(50, 3.0, 60), name);
            assert!(report.arrivals < 1.08, "{name} {}", report.arrivals);
            assert!(report.goodput > 0.7, "{name} {}", report.goodput);
        }
    }
}
