//! The clients of one replica, told to the others without their addresses: hashes under a key that only the replicas
//! know. Each client and each poller then counts once in the cluster, and an address is known on every replica.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Crowds that a row has room for; the largest are told.
const MOST_CROWDS: usize = 32;
/// Clients that make an address a crowd.
const CROWD: u32 = 2;
/// Registers of a sketch: a power of two. The estimate's standard deviation is 1.04 / √512 = 4.6 %.
const REGISTERS: usize = 512;
/// A register is written as one character, and none of these needs an escape in JSON or SQL.
const FIRST: u8 = b'0';
const HIGHEST: u8 = 40;

/// Who hears the config from one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// The addresses that poll and have no stream.
    #[serde(default, skip_serializing_if = "Sketch::is_empty")]
    pub pollers: Sketch,
    /// Clients of the addresses that stand for several: those with a stream, and polls.
    #[serde(default, skip_serializing_if = "Crowds::is_empty")]
    pub crowds: Crowds,
}

/// A set of which only its size can be estimated, and that of its union with others (HyperLogLog, Flajolet et al. 2007).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sketch(Vec<u8>);

/// A text that is no [`Sketch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSketch;

/// Clients by the hash of their address: the 32 addresses with the most clients, each with two or more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Crowds(BTreeMap<u32, u32>);

/// What one replica knows of the clients at the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The key under which addresses are hashed, if there is one yet.
    pub key: Option<u32>,
    /// Other replicas.
    pub replicas: u32,
    /// Their clients.
    pub live_clients: u32,
    crowds: BTreeMap<u32, u32>,
    /// Clients here from which on an address is told to the others.
    told_from: u32,
}

impl Sketch {
    /// Adds the member with this hash; all of its 64 bits must be spread evenly.
    pub fn add(&mut self, hash: u64) {
        self.0.resize(REGISTERS, 0);
        let place = (hash as usize) % REGISTERS;
        let rank = (hash >> REGISTERS.trailing_zeros()).trailing_zeros() as u8;
        if let Some(register) = self.0.get_mut(place) {
            *register = (*register).max(rank.saturating_add(1).min(HIGHEST));
        }
    }

    /// Adds all members of another one.
    pub fn unite(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// The number of members, about.
    pub fn estimate(&self) -> u32 {
        let registers = self.0.len() as f64;
        let sum: f64 = self.0.iter().map(|register| 0.5_f64.powi((*register).into())).sum();
        let empty = self.0.iter().filter(|register| **register == 0).count();
        let raw = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum;
        // With empty registers their number says more.
        let few = if empty > 0 { registers * (registers / empty as f64).ln() } else { f64::INFINITY };
        let estimate = if raw <= 2.5 * registers && few.is_finite() { few } else { raw };
        if self.0.is_empty() { 0 } else { estimate.round() as u32 }
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|register| *register == 0)
    }
}

impl Crowds {
    /// The largest of these addresses, given by their hash and their number of clients.
    pub fn of(addresses: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut largest: Vec<_> = addresses.filter(|(_, clients)| *clients >= CROWD).collect();
        largest.sort_unstable_by_key(|(hash, clients)| (u32::MAX - clients, *hash));
        Self(largest.into_iter().take(MOST_CROWDS).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Clients from which on an address is sure to be among them.
    fn complete_from(&self) -> u32 {
        let smallest = self.0.values().min().copied().unwrap_or(CROWD);
        if self.0.len() < MOST_CROWDS { CROWD } else { smallest }
    }
}

impl Elsewhere {
    /// Sums up what the others tell; `own` is what this replica tells them.
    pub(super) fn new<'a>(key: Option<u32>, own: &Crowds, others: impl Iterator<Item = (&'a Crowds, u32)>) -> Self {
        // Without a key the others are told nothing.
        let told_from = key.map_or(u32::MAX, |_| own.complete_from());
        let mut elsewhere = Self { key, told_from, ..Self::default() };
        for (crowds, live_clients) in others {
            elsewhere.replicas = elsewhere.replicas.saturating_add(1);
            elsewhere.live_clients = elsewhere.live_clients.saturating_add(live_clients);
            for (hash, clients) in &crowds.0 {
                let sum = elsewhere.crowds.entry(*hash).or_default();
                *sum = sum.saturating_add(*clients);
            }
        }
        elsewhere
    }

    /// The clients at an address in the whole cluster, if `own` of them are here. Requests of all of them may come here.
    ///
    /// Of addresses that no replica tells, those that are elsewhere are not known: as many as here are assumed on each.
    /// In sum over all replicas that is at most n times the clients at this address.
    pub fn clients(&self, hash: u32, own: u32) -> u32 {
        match self.crowds.get(&hash) {
            Some(clients) => own.saturating_add(*clients),
            None if own >= self.told_from => own,
            None => own.saturating_mul(self.replicas.saturating_add(1)),
        }
    }
}

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> Self {
        sketch.0.into_iter().map(|register| char::from(FIRST + register.min(HIGHEST))).collect()
    }
}

impl TryFrom<String> for Sketch {
    type Error = InvalidSketch;

    fn try_from(text: String) -> Result<Self, InvalidSketch> {
        let register = |byte: u8| byte.checked_sub(FIRST).filter(|register| *register <= HIGHEST);
        let registers: Vec<u8> = text.bytes().map(register).collect::<Option<_>>().ok_or(InvalidSketch)?;
        if [0, REGISTERS].contains(&registers.len()) { Ok(Self(registers)) } else { Err(InvalidSketch) }
    }
}

impl std::fmt::Display for InvalidSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a sketch has no or {REGISTERS} registers from 0 to X")
    }
}

impl std::error::Error for InvalidSketch {}

#[cfg(test)]
mod tests {
    use poolgate_types::rng::mix;

    use super::*;

    fn sketch(members: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        members.for_each(|member| sketch.add(mix(member.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
        sketch
    }

    #[test]
    fn members_count_once_however_many_replicas_see_them() {
        for members in [1, 10, 200, 1000, 1500, 3000, 10_000, 100_000] {
            let mut united = sketch(0..members * 2 / 3);
            united.unite(&sketch(members / 3..members));
            united.unite(&Sketch::default());
            let error = f64::from(united.estimate()) / members as f64 - 1.0;
            assert!(error.abs() < 0.1, "{members}: {error}");
        }
        assert_eq!((Sketch::default().estimate(), sketch(0..1).estimate()), (0, 1));
    }

    #[test]
    fn a_sketch_is_a_plain_text() {
        let sketch = sketch(0..5000);
        let text = String::from(sketch.clone());
        assert!(
            text.len() == REGISTERS
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte.is_ascii_punctuation())
        );
        assert_eq!(Sketch::try_from(text), Ok(sketch));
        assert_eq!(Sketch::try_from(String::new()), Ok(Sketch::default()));
        for wrong in ["0".to_owned(), "Y".repeat(REGISTERS), "é".repeat(REGISTERS / 2)] {
            assert_eq!(Sketch::try_from(wrong.clone()), Err(InvalidSketch), "{wrong}");
        }
    }

    #[test]
    fn an_office_is_known_on_each_replica_and_a_single_client_gains_at_most_n_fold() {
        let office = Crowds::of([(7, 200), (8, 1)].into_iter());
        let nothing = Crowds::default();
        let there = Elsewhere::new(Some(1), &nothing, [(&office, 201), (&nothing, 0)].into_iter());
        assert_eq!((there.clients(7, 0), there.clients(7, 3)), (200, 203), "streams on one, requests on the other");
        let here = Elsewhere::new(Some(1), &office, [(&nothing, 0), (&nothing, 0)].into_iter());
        assert_eq!(here.clients(7, 200), 200, "the others tell of none");
        assert_eq!((here.clients(8, 1), there.clients(8, 0)), (3, 0), "one client, on three replicas");
    }

    #[test]
    fn only_the_largest_crowds_are_told() {
        let many = Crowds::of((0..1000).map(|hash| (hash, hash)));
        assert_eq!((many.0.len(), many.complete_from()), (MOST_CROWDS, 1000 - MOST_CROWDS as u32));
        let elsewhere = Elsewhere::new(Some(1), &many, std::iter::once((&Crowds::default(), 0)));
        assert_eq!((elsewhere.clients(999, 999), elsewhere.clients(9, 9)), (999, 18));
    }
}
