//! How many connections this replica may have, by its own clock.

use std::time::Duration;

use super::{census::Witness, ledger::Ledger, roster::Roster, row::ReplicaId, settings::Settings};

/// What one replica may have, and on what that rests.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    id: ReplicaId,
    started: Duration,
    /// The newest grant, and the revision of its ledger.
    granted: Option<(u32, u64)>,
    /// When trust in it ends.
    trusted_until: Duration,
    /// Since trust has ended: what the first exchange and the second one have read.
    returning: Returning,
    /// When the others may take this replica for silent, after the newest exchange.
    heard_until: Duration,
    /// The newest revision that was read.
    newest: u64,
    /// When the store was last reached.
    reached: Option<Duration>,
    /// Every replica that the database shows is in the ledger or speaks.
    complete: bool,
    /// Connections that it has taken without a store, once it may.
    grown: u32,
}

/// The way back to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returning {
    /// No exchange has succeeded.
    Unheard,
    /// The row is in the store.
    Heard,
    /// With the row in the store, this revision was read.
    Met(u64),
}

impl Fence {
    pub(super) const fn new(id: ReplicaId, now: Duration) -> Self {
        Self {
            id,
            started: now,
            granted: None,
            trusted_until: now,
            returning: Returning::Unheard,
            heard_until: now,
            newest: 0,
            reached: None,
            complete: false,
            grown: 0,
        }
    }

    /// Takes in a ledger that was read by an exchange begun at `begun`; `None` if the store has none.
    ///
    /// After trust has ended, the others may be about to remove this replica. It obeys no ledger that they may have read
    /// before its row was back, only a later one: who writes that has seen the row. The first exchange may have read
    /// before it wrote, so the second one shows which ledgers are later.
    pub(super) fn read(&mut self, ledger: Option<&Ledger>, begun: Duration, now: Duration, settings: &Settings) {
        self.reached = Some(now);
        let is_trusted = self.is_trusted(now);
        if is_trusted && ledger.is_none_or(|ledger| ledger.revision < self.newest) {
            // The store has lost something. What was granted holds until trust ends.
            return;
        }
        if now >= self.heard_until {
            self.returning = Returning::Unheard;
        }
        self.heard_until = begun + settings.trust();
        let is_heard = now < self.heard_until;
        self.newest = ledger.map_or(0, |ledger| ledger.revision);
        let entry = ledger.and_then(|ledger| ledger.entries.get(&self.id));
        let is_later = is_heard && matches!(self.returning, Returning::Met(met) if self.newest > met);
        match entry {
            Some(entry) if is_trusted || is_later => {
                self.granted = Some((entry.grant, self.newest));
                (self.trusted_until, self.returning, self.grown) = (begun + settings.trust(), Returning::Unheard, 0);
            }
            _ => {
                if entry.is_none() && ledger.is_some() {
                    // It was not heard of for so long that the others took it for gone.
                    (self.granted, self.trusted_until, self.grown) = (None, self.trusted_until.min(begun), 0);
                }
                self.returning = match self.returning {
                    _ if !is_heard => Returning::Unheard,
                    Returning::Unheard => Returning::Heard,
                    Returning::Heard => Returning::Met(self.newest),
                    Returning::Met(met) => Returning::Met(met.min(self.newest)),
                };
            }
        }
    }

    /// The database is reached again after a gap in which it showed none of our connections. Without a store meanwhile,
    /// the others may have taken this replica for gone.
    pub(super) fn reappear(&mut self, now: Duration) {
        self.grown = 0;
        if !self.is_trusted(now) {
            self.granted = None;
        }
    }

    /// Compares what the database shows with what the store shows.
    pub(super) fn check(
        &mut self,
        ledger: &Ledger,
        roster: &Roster,
        witness: &Witness,
        now: Duration,
        settings: &Settings,
    ) {
        let is_accounted =
            |id: &ReplicaId| *id == self.id || ledger.covers(*id, settings) || roster.get(*id, now, settings).is_some();
        self.complete = witness.newest(now, settings).is_some_and(|census| census.keys().all(is_accounted));
    }

    /// The revision that it obeys; 0 for none.
    pub(super) fn applied(&self, now: Duration) -> u64 {
        self.granted.filter(|_| self.is_trusted(now)).map_or(0, |(_, revision)| revision)
    }

    /// The newest revision that it has read.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether the store was reached lately.
    pub(super) fn reached(&self, now: Duration, settings: &Settings) -> bool {
        self.reached.is_some_and(|at| now.saturating_sub(at) < settings.trust())
    }

    /// Whether its grant is confirmed.
    pub(super) fn is_trusted(&self, now: Duration) -> bool {
        self.granted.is_some() && now < self.trusted_until
    }

    /// Connections that it may have now, if it `holds` this many.
    pub(super) fn limit(&self, holds: u32, witness: &Witness, now: Duration, settings: &Settings) -> u32 {
        let safe = settings.safe_share();
        match self.granted {
            Some((grant, _)) if self.is_trusted(now) => {
                let is_complete = self.complete && witness.newest(now, settings).is_some();
                // There may be a replica that is not in the ledger: nothing new beyond the safe share.
                if is_complete { grant } else { grant.min(holds.max(safe)) }
            }
            granted if witness.newest(now, settings).is_some() => {
                granted.map_or(1, |(grant, _)| grant.min(safe)).max(self.grown)
            }
            // One that the database shows no more will be taken for gone, and is a newcomer then.
            _ => 1,
        }
    }

    /// Without a store for long: takes one more connection if the database shows room for it. Called after each look.
    ///
    /// All other replicas may have their safe shares. Those that have more open none, so what they have above is all
    /// that can be missing.
    pub(super) fn grow(&mut self, holds: u32, witness: &Witness, now: Duration, settings: &Settings) {
        let alone_since = self.reached.unwrap_or(self.started).max(self.trusted_until);
        let (Some(census), Some(visible_since)) =
            (witness.newest(now, settings), witness.reaching_since(now, settings))
        else {
            return;
        };
        let rested = now.saturating_sub(alone_since.max(visible_since)) >= settings.before_growth();
        if !rested {
            return;
        }
        let (safe, limit) = (settings.safe_share(), self.limit(holds, witness, now, settings));
        let others = census.iter().filter(|(id, _)| **id != self.id);
        let (mut count, mut above) = (0_u32, 0_u32);
        for (_, connections) in others {
            count = count.saturating_add(1);
            above = above.saturating_add(connections.saturating_sub(safe));
        }
        let rights = safe.saturating_mul(settings.max_replicas.saturating_sub(1)).saturating_add(above);
        if count < settings.max_replicas && limit < safe && rights.saturating_add(limit + 1) <= settings.budget {
            self.grown = limit + 1;
        }
    }
}
