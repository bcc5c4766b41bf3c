//! One replica's part: what it writes to the store, what it makes of what it reads, and what follows for its pool.

use std::time::Duration;

use poolgate_types::{ConfigVersion, ThrottlingConfig};

use super::{
    audience::{Audience, Elsewhere},
    census::{Census, Witness},
    exchange::{Exchange, Seen},
    fence::Fence,
    ledger::{Knowledge, Ledger, NUMBERS},
    publisher::{Candidate, NEWCOMERS_SILENCE, publisher},
    roster::Roster,
    row::{Gauges, ReplicaId, Row, State, Totals},
    settings::Settings,
    sums::{self, Sums},
};
use crate::Sample;

/// A replica that is not the first in line waits this part of the time to live for each one before it, before it writes
/// a ledger of its own.
const TURN: u32 = 5;

/// On what a replica's limit rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On the ledger.
    Shared,
    /// On nothing that others know: the store is not reached, or has no place for it.
    Static,
}

/// Whose config a replica serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// None: it has not heard the others yet.
    Silent,
    /// The cluster's.
    Follows,
    /// The cluster's, and it is this replica that publishes it.
    Publishes,
    /// Its own, because it does not reach the store.
    Alone,
}

/// A replica as another one sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its newest row.
    pub row: Row,
    /// What the ledger grants it.
    pub grant: Option<u32>,
    /// Time since its row changed.
    pub age: Duration,
}

/// What follows for the replica's server.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Connections that the pool may have now.
    pub limit: u32,
    /// On what that rests.
    pub mode: Mode,
    /// Whose config it serves.
    pub part: Part,
}

/// What a replica is and has, for its row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Own {
    state: State,
    holds: u32,
    wants: u32,
    reaches_database: bool,
    watches: bool,
    totals: Totals,
    gauges: Gauges,
}

/// A config that this replica wants to publish, and since when.
#[derive(Clone, Debug)]
struct Offer {
    config: ThrottlingConfig,
    since: Duration,
}

/// One replica's part in the cluster: a state machine without clock or I/O. `now` is always a monotonic time since an
/// origin of the caller's choice.
///
/// About once a second the caller runs an exchange: [`begin`](Self::begin), the write and the read, [`end`](Self::end).
/// Every two seconds, and before it grows, it asks the database and calls [`look`](Self::look).
#[derive(Clone, Debug)]
pub struct Replica {
    id: ReplicaId,
    settings: Settings,
    seq: u64,
    own: Own,
    begun: Duration,
    /// When the newest exchange that succeeded was begun.
    read: Duration,
    /// The newest revision that was ever read.
    newest_revision: u64,
    fence: Fence,
    roster: Roster,
    witness: Witness,
    sums: Sums,
    ledger: Ledger,
    config: Option<ThrottlingConfig>,
    /// The store's config at the newest exchange.
    stored: Option<ConfigVersion>,
    offer: Option<Offer>,
    /// Who hears the config from it.
    audience: Audience,
    /// Since when no exchange has succeeded, if the newest one has not.
    failing_since: Option<Duration>,
    /// Since when the store is reached and has no ledger.
    without_ledger: Option<Duration>,
    /// Since when the ledger should change.
    due: Option<Duration>,
}

impl Replica {
    /// A replica that has just started and holds nothing.
    pub fn new(id: ReplicaId, settings: Settings, now: Duration) -> Self {
        let own = Own {
            state: State::Joining,
            holds: 0,
            wants: 1,
            reaches_database: false,
            watches: false,
            totals: Totals::default(),
            gauges: Gauges::default(),
        };
        Self {
            id,
            settings,
            seq: 0,
            own,
            begun: now,
            read: now,
            newest_revision: 0,
            fence: Fence::new(id, now),
            roster: Roster::default(),
            witness: Witness::default(),
            sums: Sums::default(),
            ledger: Ledger::default(),
            config: None,
            stored: None,
            offer: None,
            audience: Audience::default(),
            failing_since: Some(now),
            without_ledger: None,
            due: None,
        }
    }

    /// The same without a pool: its figures are those of a source, a PgBouncer for example, that all replicas of the
    /// cluster watch. They tell each other of their clients.
    pub fn watching(mut self) -> Self {
        self.own.watches = true;
        self
    }

    /// Its id.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// What all replicas must agree on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Records what it is doing, and the connections that its pool has (those being opened and closed included) and
    /// could use.
    pub fn connections(&mut self, state: State, holds: u32, wants: u32) {
        (self.own.state, self.own.holds, self.own.wants) = (state, holds, wants);
    }

    /// Records its figures for the others.
    pub fn figures(&mut self, totals: Totals, gauges: Gauges, reaches_database: bool) {
        (self.own.totals, self.own.gauges, self.own.reaches_database) = (totals, gauges, reaches_database);
    }

    /// Its own circuit breaker is not closed, so it counts as one that does not reach the database: one that does goes on
    /// for all meanwhile. Called after [`figures`](Self::figures).
    pub(super) fn count_as_cut_off(&mut self) {
        self.own.reaches_database = false;
    }

    /// Records who hears the config from it, with addresses hashed under the [key](Elsewhere::key).
    pub fn set_audience(&mut self, audience: Audience) {
        self.audience = audience;
    }

    /// Offers a config to be served by all. It is the cluster's as soon as it was read back from the store.
    pub fn offer(&mut self, config: &ThrottlingConfig, now: Duration) {
        let is_news = self.config.as_ref().is_none_or(|known| known.at() < config.at());
        let since = self.offer.as_ref().map_or(now, |offer| offer.since);
        self.offer = is_news.then(|| Offer { config: config.clone(), since });
    }

    /// Offers nothing any more.
    pub fn withdraw(&mut self) {
        self.offer = None;
    }

    /// Since when it waits for the store to take what it offers, if it does.
    pub fn offers_since(&self) -> Option<Duration> {
        self.offer.as_ref().map(|offer| offer.since)
    }

    /// Begins an exchange.
    pub fn begin(&mut self, now: Duration) -> Exchange {
        self.begun = now;
        self.seq += 1;
        let limit = self.limit(now);
        let Own { state, holds, wants, reaches_database, watches, totals, gauges } = self.own;
        let row = Row {
            id: self.id,
            seq: self.seq,
            state,
            applied: self.fence.applied(now),
            read: self.fence.newest(),
            limit,
            holds,
            wants,
            reaches_database,
            watches,
            totals,
            gauges,
            audience: self.audience.clone(),
            config: self.config.as_ref().map(ThrottlingConfig::at),
        };
        let ledger = self.proposal(now);
        let publishes = self.part(now) == Part::Publishes;
        // The store may have lost what it had.
        let config = self.offer.as_ref().map(|offer| &offer.config).or(self.config.as_ref());
        let config = config.filter(|config| publishes && self.stored < Some(config.at())).cloned();
        let is_first = ledger.is_some() && self.ledger.revision == 0;
        Exchange { row, ledger, config, replaces: self.stored, is_first }
    }

    /// Ends the exchange that was begun last; `None` if the store was not reached in time.
    pub fn end(&mut self, seen: Option<Seen>, now: Duration) {
        let Some(Seen { rows, ledger, config }) = seen else {
            self.failing_since.get_or_insert(now);
            return;
        };
        self.failing_since = None;
        self.read = self.begun;
        self.sums.read(self.id, &rows, now);
        self.roster.read(rows, now, &self.settings);
        self.take_in(config, now);
        self.fence.read(ledger.as_ref(), self.begun, now, &self.settings);
        match ledger {
            Some(ledger) => {
                self.newest_revision = self.newest_revision.max(ledger.revision);
                (self.ledger, self.without_ledger) = (ledger, None);
            }
            None => {
                self.ledger = Ledger::default();
                self.without_ledger.get_or_insert(now);
            }
        }
        self.fence.check(&self.ledger, &self.roster, &self.witness, now, &self.settings);
    }

    /// Takes in what the database shows, asked for at `asked`, on a connection that stays open between two looks. No call
    /// if it could not be asked.
    pub fn look(&mut self, census: Census, asked: Duration, now: Duration) {
        if self.witness.newest(now, &self.settings).is_none() {
            self.fence.reappear(now);
        }
        self.witness.look(census, asked, now, &self.settings);
        self.fence.check(&self.ledger, &self.roster, &self.witness, now, &self.settings);
        self.fence.grow(self.own.holds, &self.witness, now, &self.settings);
    }

    /// Connections that the pool may have now. Ask before each use: trust ends by time alone.
    pub fn limit(&self, now: Duration) -> u32 {
        match self.own.state {
            State::Left => 0,
            _ => self.fence.limit(self.own.holds, &self.witness, now, &self.settings),
        }
    }

    /// What follows for the server.
    pub fn view(&self, now: Duration) -> View {
        View {
            limit: self.limit(now),
            mode: if self.fence.is_trusted(now) { Mode::Shared } else { Mode::Static },
            part: self.part(now),
        }
    }

    /// Whose config it serves.
    pub fn part(&self, now: Duration) -> Part {
        match self.failing_since {
            Some(since) if now.saturating_sub(since) >= NEWCOMERS_SILENCE => Part::Alone,
            None if self.publisher(now) == Some(self.id) => Part::Publishes,
            _ if self.config.is_some() => Part::Follows,
            _ => Part::Silent,
        }
    }

    /// Adds the others' figures of the last `elapsed` to this replica's own; `is_idle`: it has had no request lately.
    pub fn add_others(&mut self, sample: &mut Sample, is_idle: bool, elapsed: Duration) {
        let Own { reaches_database, watches, .. } = self.own;
        let own = sums::Own { is_idle, reaches_database, watches };
        self.sums.add_to(sample, &self.audience.pollers, own, elapsed);
    }

    /// The clients at the others.
    pub fn elsewhere(&self) -> Elsewhere {
        let key = (self.ledger.revision > 0).then_some(self.ledger.key);
        self.sums.elsewhere(key, &self.audience.crowds)
    }

    /// Its number among the replicas, 0 to 63: it tells apart what two of them publish at the same time.
    pub(super) fn number(&self) -> u8 {
        self.ledger.entries.get(&self.id).map_or((self.id.0 % u32::from(NUMBERS)) as u8, |entry| entry.number)
    }

    /// The highest version that any replica is known to serve.
    pub(super) fn newest_version(&self) -> ConfigVersion {
        let known = self.config.as_ref().map(ThrottlingConfig::at);
        self.roster.newest_config().max(known).unwrap_or_default()
    }

    /// The newest config of the cluster, if one was read.
    pub fn config(&self) -> Option<&ThrottlingConfig> {
        self.config.as_ref()
    }

    /// All replicas that are heard, this one included once it has read its own row, by id.
    pub fn members(&self, now: Duration) -> impl Iterator<Item = Member> {
        self.roster.heard(now, &self.settings).map(move |known| Member {
            row: known.row.clone(),
            grant: self.ledger.entries.get(&known.row.id).map(|entry| entry.grant),
            age: now.saturating_sub(known.changed),
        })
    }

    /// The replica that publishes for all, as far as this one knows. It is itself only if it has read its own row, and the
    /// others' as well.
    pub fn publisher(&self, now: Duration) -> Option<ReplicaId> {
        let candidates = self.roster.heard(now, &self.settings).filter(|known| known.is_fresh(now, &self.settings));
        let reaches_database = self.own.reaches_database;
        publisher(candidates.map(|known| match Candidate::from(&known.row) {
            // It knows better than its row: a database that only it has lost is not the others' trouble.
            own if own.id == self.id => Candidate { reaches_database, ..own },
            other => other,
        }))
    }

    /// Takes in the store's config.
    fn take_in(&mut self, config: Option<ThrottlingConfig>, now: Duration) {
        self.stored = config.as_ref().map(ThrottlingConfig::at);
        let news = config.filter(|config| self.config.as_ref().is_none_or(|known| known.at() < config.at()));
        let is_news = news.is_some();
        self.config = news.or(self.config.take());
        let known = self.config.as_ref().map(ThrottlingConfig::at);
        // Of two replicas that begin at the same moment the one whose config was written first has begun the epoch.
        let follows = |offer: &Offer| {
            let at = offer.config.at();
            known.is_none_or(|known| at.epoch == known.epoch && at > known)
        };
        let newer = self.offer.take().filter(follows);
        // A config that is newer than the one that was just taken has waited only since then.
        self.offer = newer.map(|offer| if is_news { Offer { since: now, ..offer } } else { offer });
    }

    /// The next ledger, if it is this replica's turn to write it.
    fn proposal(&mut self, now: Duration) -> Option<Ledger> {
        let reached = self.fence.reached(now, &self.settings);
        let next = reached.then(|| self.next_ledger(now)).flatten();
        if next.is_none() {
            self.due = None;
        }
        let next = next?;
        let due = *self.due.get_or_insert(now);
        let before = self.roster.heard(now, &self.settings).filter(|known| known.row.id < self.id).count();
        let turn = self.settings.ttl / TURN * u32::try_from(before).unwrap_or(u32::MAX);
        (now.saturating_sub(due) >= turn).then_some(next)
    }

    fn next_ledger(&self, now: Duration) -> Option<Ledger> {
        let Self { roster, witness, settings, .. } = self;
        let knowledge = Knowledge { roster, witness, settings, now: self.read };
        if self.ledger.revision > 0 {
            return self.ledger.next(knowledge);
        }
        // The old ledger may be lost: every trust in it must have ended, and the database must have been looked at
        // meanwhile.
        let since = self.without_ledger?.max(witness.reaching_since(now, settings)?);
        if now.saturating_sub(since) < settings.recovery() {
            return None;
        }
        let newest = roster.newest_revision().max(self.newest_revision);
        let mut next = Ledger::default().next(knowledge)?;
        next.begin(newest + 1, self.id);
        Some(next)
    }
}
