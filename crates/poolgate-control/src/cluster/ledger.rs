//! The division of the budget that is in force, and the next one.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    census::Witness,
    division::fair_shares,
    roster::{Known, Roster},
    row::{ReplicaId, State},
    settings::Settings,
};

/// The division of the budget: one document for all replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Grows by one with each change; 0 is no ledger.
    pub revision: u64,
    /// The key under which replicas hash addresses: the id of the replica that wrote the first ledger, which only the
    /// replicas and the database know.
    #[serde(default)]
    pub key: u32,
    /// What each replica may have.
    pub entries: BTreeMap<ReplicaId, Entry>,
}

/// What one replica may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Connections that it may have once it has read this.
    pub grant: u32,
    /// Connections that it may still have, at least the grant.
    pub claim: u32,
    /// Revision that set the grant.
    pub since: u64,
    /// Its number among the replicas, 0 to 63, different for all in the ledger: it tells apart what two replicas publish.
    pub number: u8,
}

/// What a reader knows when it computes the next ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge<'a> {
    pub(super) roster: &'a Roster,
    pub(super) witness: &'a Witness,
    pub(super) settings: &'a Settings,
    /// When it asked for what it has read. What has happened since may have changed the store, but not this ledger.
    pub(super) now: Duration,
}

/// Slots that versions have room for.
pub(super) const NUMBERS: u8 = 64;

impl Ledger {
    /// All claims, and one connection for each replica that may still come.
    fn claimed(&self, settings: &Settings) -> u32 {
        let claims = self.entries.values().map(|entry| entry.claim).fold(0, u32::saturating_add);
        claims.saturating_add(settings.reserve(self.entries.len()))
    }

    /// Whether this replica is in the ledger with at least the safe share.
    pub(super) fn covers(&self, id: ReplicaId, settings: &Settings) -> bool {
        self.claimed(settings) <= settings.budget
            && self.entries.get(&id).is_some_and(|entry| entry.claim >= settings.safe_share())
    }

    /// The next ledger, if this one must change.
    pub(super) fn next(&self, knowledge: Knowledge<'_>) -> Option<Self> {
        let mut next = self.clone();
        next.revision += 1;
        next.lower_claims(&knowledge);
        next.remove(&knowledge);
        next.add_strangers(&knowledge);
        next.add_newcomers(&knowledge);
        let shares = next.shares(&knowledge);
        next.shrink(&shares);
        next.grow(&shares, &knowledge);
        next.renew(&knowledge);
        next.differs(self).then_some(next)
    }

    /// The same division with another revision, for the first ledger of a store, and the key of its writer.
    pub(super) fn begin(&mut self, revision: u64, writer: ReplicaId) {
        (self.revision, self.key) = (revision, writer.0);
        for entry in self.entries.values_mut() {
            entry.since = revision;
        }
    }

    /// A claim falls to what its owner reports after it has taken in its grant, and is never below what it reports.
    fn lower_claims(&mut self, Knowledge { roster, settings, now, .. }: &Knowledge<'_>) {
        for (id, entry) in &mut self.entries {
            let Some(known) = roster.get(*id, *now, settings) else { continue };
            let row = &known.row;
            let floor = if row.applied >= entry.since { entry.grant } else { entry.claim };
            entry.claim = floor.max(row.holds).max(row.limit);
        }
    }

    /// Those that have left, and those that are silent and have no connection left in the database.
    fn remove(&mut self, Knowledge { roster, witness, settings, now }: &Knowledge<'_>) {
        self.entries.retain(|id, _| match roster.get(*id, *now, settings) {
            Some(known) => known.row.state != State::Left,
            None => !witness.is_gone(*id, *now, settings),
        });
    }

    /// Those that the database shows, and that do not speak. They may have the safe share without asking.
    fn add_strangers(&mut self, Knowledge { roster, witness, settings, now }: &Knowledge<'_>) {
        // Without a ledger before it, those that were shown lately may come back.
        let is_first = self.entries.is_empty();
        for (id, connections) in witness.visible(*now, settings) {
            let may_live = connections > 0 || is_first;
            if may_live && !self.entries.contains_key(&id) && roster.get(id, *now, settings).is_none() {
                let room = settings.budget.saturating_sub(self.claimed(settings)).saturating_add(1);
                let grant = settings.safe_share().min(room);
                self.add(id, grant, connections);
            }
        }
    }

    fn add_newcomers(&mut self, Knowledge { roster, settings, now, .. }: &Knowledge<'_>) {
        for known in roster.heard(*now, settings) {
            let row = &known.row;
            let has_room = settings.reserve(self.entries.len()) > 0 || self.claimed(settings) < settings.budget;
            if row.state != State::Left && !self.entries.contains_key(&row.id) && has_room {
                self.add(row.id, 1, row.holds.max(row.limit));
            }
        }
    }

    fn add(&mut self, id: ReplicaId, grant: u32, claim: u32) {
        let is_free = |number: &u8| self.entries.values().all(|entry| entry.number != *number);
        let number = (0..NUMBERS).find(is_free).unwrap_or((id.0 % u32::from(NUMBERS)) as u8);
        self.entries.insert(id, Entry { grant, claim: claim.max(grant), since: self.revision, number });
    }

    /// The fair shares of the members; the others keep what they claim.
    fn shares(&self, Knowledge { roster, settings, now, .. }: &Knowledge<'_>) -> BTreeMap<ReplicaId, u32> {
        let mut pot = settings.budget.saturating_sub(settings.reserve(self.entries.len()));
        let mut wants = BTreeMap::new();
        for (id, entry) in &self.entries {
            match roster.get(*id, *now, settings) {
                Some(known) if known.is_member() => drop(wants.insert(*id, known.row.wants)),
                Some(_) => pot = pot.saturating_sub(entry.claim),
                // It may have the safe share without asking.
                None => pot = pot.saturating_sub(entry.claim.max(settings.safe_share())),
            }
        }
        fair_shares(pot, &wants)
    }

    fn shrink(&mut self, shares: &BTreeMap<ReplicaId, u32>) {
        for (id, entry) in &mut self.entries {
            if let Some(share) = shares.get(id).filter(|share| **share < entry.grant) {
                *entry = Entry { grant: *share, since: self.revision, ..*entry };
            }
        }
    }

    /// Grants grow only into what no claim covers; the smallest grow first. A replica that was not heard lately may have
    /// stopped: it would not use what it got, and that could not be taken back.
    fn grow(&mut self, shares: &BTreeMap<ReplicaId, u32>, Knowledge { roster, settings, now, .. }: &Knowledge<'_>) {
        // A replica that came back, or that only the database shows, may claim what others have got meanwhile. No
        // replica grows then, not even within a claim.
        let Some(mut room) = settings.budget.checked_sub(self.claimed(settings)) else { return };
        let mut smallest_first: Vec<_> = self.entries.iter().map(|(id, entry)| (entry.claim, *id)).collect();
        smallest_first.sort_unstable();
        for (_, id) in smallest_first {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let known = roster.get(id, *now, settings);
            match shares.get(&id).filter(|_| known.is_some_and(|known| known.is_fresh(*now, settings))) {
                Some(share) if *share > entry.grant => {
                    let more = share.saturating_sub(entry.claim).min(room);
                    room -= more;
                    let claim = entry.claim + more;
                    let grant = claim.min(*share);
                    *entry = Entry { grant, claim, since: self.revision, ..*entry };
                }
                None if known.is_none() => {
                    let more = settings.safe_share().saturating_sub(entry.claim).min(room);
                    room -= more;
                    entry.claim += more;
                }
                _ => {}
            }
        }
    }

    /// A replica that was silent obeys only a ledger that is later than the first one that it reads.
    fn renew(&mut self, Knowledge { roster, settings, now, .. }: &Knowledge<'_>) {
        for (id, entry) in &mut self.entries {
            if roster
                .get(*id, *now, settings)
                .is_some_and(|Known { row, .. }| row.applied == 0 && row.read >= entry.since)
            {
                entry.since = self.revision;
            }
        }
    }

    /// Lower claims alone are no news: a replica that wants to grow into them computes them anew.
    fn differs(&self, before: &Self) -> bool {
        self.entries.len() != before.entries.len()
            || self.entries.iter().any(|(id, entry)| {
                before.entries.get(id).is_none_or(|old| old.since != entry.since || old.claim < entry.claim)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Audience, Census, Gauges, Row, Totals};

    const SETTINGS: Settings = Settings { budget: 100, max_replicas: 8, ttl: Duration::from_secs(10) };

    #[derive(Default)]
    struct Store {
        ledger: Ledger,
        roster: Roster,
        witness: Witness,
        seq: u64,
        now: Duration,
    }

    impl Store {
        fn write(&mut self, id: u32, holds: u32) -> &mut Self {
            self.write_in(State::Serving, id, holds)
        }

        fn write_in(&mut self, state: State, id: u32, holds: u32) -> &mut Self {
            self.seq += 1;
            let id = ReplicaId(id);
            let entry = self.ledger.entries.get(&id);
            let row = Row {
                id,
                seq: self.seq,
                state,
                applied: entry.map_or(0, |_| self.ledger.revision),
                read: self.ledger.revision,
                limit: if state == State::Left { 0 } else { entry.map_or(1, |entry| entry.grant) },
                holds,
                wants: 200,
                reaches_database: true,
                watches: false,
                totals: Totals::default(),
                gauges: Gauges::default(),
                audience: Audience::default(),
                config: None,
            };
            self.roster.read(vec![row], self.now, &SETTINGS);
            self
        }

        fn next(&mut self) -> Vec<(u32, u32)> {
            let knowledge =
                Knowledge { roster: &self.roster, witness: &self.witness, settings: &SETTINGS, now: self.now };
            if let Some(next) = self.ledger.next(knowledge) {
                self.ledger = next;
            }
            assert!(self.ledger.claimed(&SETTINGS) <= 100, "{:?}", self.ledger);
            self.ledger.entries.values().map(|entry| (entry.grant, entry.claim)).collect()
        }
    }

    #[test]
    fn four_share_all_but_what_is_kept_for_four_more() {
        let mut store = Store::default();
        for id in 0..4 {
            store.write(id, 1);
        }
        assert_eq!(store.next(), [(24, 24); 4]);
        let before = store.ledger.clone();
        store.next();
        assert_eq!(store.ledger, before, "nothing to change");
        let numbers: Vec<_> = before.entries.values().map(|entry| entry.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }

    #[test]
    fn a_newcomer_gets_only_what_the_others_have_given_back() {
        let mut store = Store::default();
        store.write(0, 1).write(1, 1).next();
        assert_eq!(store.next(), [(47, 47); 2]);
        store.write(2, 1);
        assert_eq!(store.next(), [(32, 47), (32, 47), (1, 1)], "the first shrink");
        store.write(0, 47).write(1, 40);
        assert_eq!(store.next(), [(32, 47), (32, 40), (8, 8)], "seven have come back");
        store.write(0, 20).write(1, 20).write(2, 8);
        assert_eq!(store.next(), [(32, 32), (32, 32), (31, 31)]);
    }

    #[test]
    fn who_leaves_gives_its_share_back_at_once() {
        let mut store = Store::default();
        store.write(0, 1).write(1, 1).next();
        store.write_in(State::Draining, 1, 30).write(0, 47);
        assert_eq!(store.next(), [(47, 47), (47, 47)], "what it has it needs");
        store.write_in(State::Left, 1, 0);
        assert_eq!(store.next(), [(93, 93)]);
    }

    #[test]
    fn a_silent_replica_keeps_its_claim_until_the_database_shows_none_of_its_connections() {
        let mut store = Store::default();
        store.write(0, 1).write(1, 1).next();
        let census = Census::from([(ReplicaId(0), 40), (ReplicaId(1), 1)]);
        for second in 0..60 {
            store.now = Duration::from_secs(second);
            store.witness.look(census.clone(), store.now, store.now, &SETTINGS);
            store.write(0, 40);
            assert_eq!(store.next(), [(47, 47), (47, 47)]);
        }
        for second in 60..73 {
            store.now = Duration::from_secs(second);
            store.witness.look(Census::from([(ReplicaId(0), 40)]), store.now, store.now, &SETTINGS);
            store.write(0, 40);
            store.next();
            assert_eq!(store.ledger.entries.len(), if second < 71 { 2 } else { 1 }, "{second}");
        }
        assert_eq!(store.next(), [(93, 93)]);
    }

    #[test]
    fn of_two_that_fall_silent_one_after_the_other_the_second_gets_nothing_from_the_first() {
        let mut store = Store::default();
        store.write(0, 1).write(1, 1).write(2, 1).next();
        assert_eq!(store.next(), [(32, 32), (32, 32), (31, 31)]);
        for second in 1..20 {
            store.now = Duration::from_secs(second);
            // One was killed. The other is stopped three seconds later, and keeps its connections.
            if second <= 3 {
                store.write(2, 31);
            }
            let census = Census::from([(ReplicaId(0), 32), (ReplicaId(2), 31)]);
            store.witness.look(census, store.now, store.now, &SETTINGS);
            store.write(0, 32);
            store.next();
        }
        let left: Vec<_> = store.ledger.entries.iter().map(|(id, entry)| (id.0, entry.grant, entry.claim)).collect();
        assert_eq!(left, [(0, 63, 63), (2, 31, 31)]);
    }

    #[test]
    fn room_is_made_for_a_replica_that_only_the_database_shows() {
        let mut store = Store::default();
        store.write(0, 1).write(1, 1).next();
        store.witness.look(Census::from([(ReplicaId(7), 1)]), store.now, store.now, &SETTINGS);
        assert_eq!(store.next(), [(42, 47), (41, 47), (1, 1)], "the first shrink");
    }
}
