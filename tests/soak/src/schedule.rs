//! The schedule of faults: a pure function of the seed.

use std::time::Duration;

use poolgate::demo::Random;
use serde::Serialize;

/// How the program reaches its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// By connections to PostgreSQL.
    Direct,
    /// By connections to a PgBouncer in transaction mode.
    Pgbouncer,
}

/// A fault or an operation that happens in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// PostgreSQL's main process is killed; it starts again at the end.
    DatabaseKilled,
    /// Every process of PostgreSQL stands still (SIGSTOP).
    DatabaseFrozen,
    /// All sessions of the program are ended at once (`pg_terminate_backend`).
    SessionsEnded,
    /// All sessions are ended, and connects take 150 to 400 ms.
    ConnectsSlow,
    /// The network to the database is cut and neither end is told.
    WireSilent,
    /// All sessions are ended, and the server expects another password than the program has.
    PasswordChanged,
    /// All sessions are ended, and the database accepts no connections (`ALLOW_CONNECTIONS false`).
    DatabaseClosed,
    /// All sessions are ended, and other sessions take every connection of the server.
    ConnectionsTaken,
    /// A migration changes a column's type: statements that were prepared before are no longer valid.
    TableAltered,
    /// The server refuses to write (`default_transaction_read_only`).
    ReadOnly,
    /// The standby is promoted, the old primary becomes read-only but keeps its sessions, and the name resolves to the new
    /// primary.
    Failover,
    /// A table that every order and product page needs is locked.
    TableLocked,
    /// PgBouncer's PAUSE, then RESUME.
    PoolerPaused,
    /// The program is stopped (SIGTERM) and started again on its port.
    Deploy,
}

/// A fault with its time, which counts from the moment when all clients are there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// The fault.
    pub fault: Fault,
    /// When it begins.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// How long it lasts until it is undone.
    #[serde(serialize_with = "seconds")]
    pub lasts: Duration,
}

/// How dense the schedule is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Shortest and longest calm between a recovery and the next fault.
    pub calm: (Duration, Duration),
    /// 0: each fault has its shortest length; 1: up to its longest.
    pub length: f64,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::DatabaseKilled,
        Self::DatabaseFrozen,
        Self::SessionsEnded,
        Self::ConnectsSlow,
        Self::WireSilent,
        Self::PasswordChanged,
        Self::DatabaseClosed,
        Self::ConnectionsTaken,
        Self::TableAltered,
        Self::ReadOnly,
        Self::Failover,
        Self::TableLocked,
        Self::PoolerPaused,
        Self::Deploy,
    ];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DatabaseKilled => "database killed",
            Self::DatabaseFrozen => "database frozen",
            Self::SessionsEnded => "sessions ended",
            Self::ConnectsSlow => "connects slow",
            Self::WireSilent => "wire silent",
            Self::PasswordChanged => "password changed",
            Self::DatabaseClosed => "database closed",
            Self::ConnectionsTaken => "connections taken",
            Self::TableAltered => "table altered",
            Self::ReadOnly => "read-only",
            Self::Failover => "failover",
            Self::TableLocked => "table locked",
            Self::PoolerPaused => "pooler paused",
            Self::Deploy => "deploy",
        }
    }

    /// Whether it can happen to a program that reaches its database this way.
    #[must_use]
    pub fn can_happen(self, through: Through) -> bool {
        match self {
            // PgBouncer has its own password for the server, and its settings name one server.
            Self::PasswordChanged | Self::Failover => through == Through::Direct,
            Self::PoolerPaused => through == Through::Pgbouncer,
            _ => true,
        }
    }

    /// Shortest and longest time that it lasts.
    fn lasts(self) -> (f64, f64) {
        match self {
            Self::SessionsEnded | Self::TableAltered | Self::Deploy | Self::Failover => (0.0, 0.0),
            Self::DatabaseKilled => (1.0, 6.0),
            Self::DatabaseFrozen | Self::WireSilent => (3.0, 8.0),
            Self::ConnectsSlow => (4.0, 10.0),
            Self::PasswordChanged | Self::DatabaseClosed | Self::ConnectionsTaken => (3.0, 8.0),
            Self::ReadOnly | Self::TableLocked | Self::PoolerPaused => (2.0, 6.0),
        }
    }

    /// How long recovery may take after its end: an outage ends with a ramp, the others with new connections.
    #[must_use]
    pub fn recovery(self) -> Duration {
        Duration::from_secs(match self {
            Self::SessionsEnded | Self::ConnectsSlow | Self::TableAltered | Self::ReadOnly => 5,
            Self::Failover | Self::TableLocked | Self::PoolerPaused | Self::Deploy => 8,
            // The ramp after an open breaker, and clients that return one by one.
            _ => 12,
        })
    }

    /// Whether a request may be answered 500 while it lasts: the database refuses a statement, and refuses it again when it is
    /// repeated on the same session.
    #[must_use]
    pub fn excuses_errors(self) -> bool {
        matches!(self, Self::TableAltered | Self::ReadOnly | Self::Failover)
    }
}

impl Planned {
    /// When it is undone.
    #[must_use]
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The faults of a run in which all clients are there for `span`. Each possible kind comes once before any comes again.
/// Deploys come in the first half, so that the second half watches one process.
#[must_use]
pub fn draw(seed: u64, through: Through, span: Duration, pace: Pace) -> Vec<Planned> {
    let mut random = Random::of(seed, through as u64);
    let mut between = |(least, greatest): (f64, f64)| least + (greatest - least) * random.unit();
    let calm = (pace.calm.0.as_secs_f64(), pace.calm.1.as_secs_f64());
    let mut planned = Vec::new();
    let mut deck: Vec<Fault> = Vec::new();
    let mut at = between(calm);
    loop {
        if deck.is_empty() {
            deck.extend(Fault::ALL.into_iter().filter(|fault| fault.can_happen(through)));
            for index in (1..deck.len()).rev() {
                // Below `index + 1`, because unit() is below 1.
                deck.swap(index, between((0.0, (index + 1) as f64)) as usize);
            }
        }
        let Some(fault) = deck.pop() else { return planned };
        if fault == Fault::Deploy && at > span.as_secs_f64() / 2.0 {
            continue;
        }
        let (shortest, longest) = fault.lasts();
        let lasts = between((shortest, shortest + (longest - shortest) * pace.length));
        let recovered = at + lasts + fault.recovery().as_secs_f64();
        if recovered + calm.0 > span.as_secs_f64() {
            return planned;
        }
        planned.push(Planned { fault, at: tenths(at), lasts: tenths(lasts) });
        at = recovered + between(calm);
    }
}

fn tenths(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 10.0).round() as u64 * 100)
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1_700);
    const PACE: Pace = Pace { calm: (Duration::from_secs(15), Duration::from_secs(35)), length: 1.0 };

    #[test]
    fn the_seed_decides_everything() {
        let drawn = |seed, through| draw(seed, through, HALF_AN_HOUR, PACE);
        assert_eq!(drawn(1, Through::Direct), drawn(1, Through::Direct));
        assert_ne!(drawn(1, Through::Direct), drawn(2, Through::Direct));
        assert_ne!(drawn(1, Through::Direct), drawn(1, Through::Pgbouncer));
    }

    #[test]
    fn every_kind_that_can_happen_comes_and_the_others_do_not() {
        for (seed, through) in (0..50).flat_map(|seed| [(seed, Through::Direct), (seed, Through::Pgbouncer)]) {
            let kinds: BTreeSet<Fault> =
                draw(seed, through, HALF_AN_HOUR, PACE).into_iter().map(|planned| planned.fault).collect();
            let possible: BTreeSet<Fault> = Fault::ALL.into_iter().filter(|fault| fault.can_happen(through)).collect();
            // A deploy that would come late is left out.
            assert!(possible.difference(&kinds).all(|fault| *fault == Fault::Deploy), "seed {seed}: {kinds:?}");
            assert!(kinds.is_subset(&possible), "seed {seed}: {kinds:?}");
        }
    }

    #[test]
    fn faults_do_not_touch_and_the_end_is_calm() {
        for seed in 0..200 {
            let planned = draw(seed, Through::Direct, HALF_AN_HOUR, PACE);
            assert!(planned.len() > 20, "{}", planned.len());
            for pair in planned.windows(2) {
                let calm = pair[1].at.saturating_sub(pair[0].ends() + pair[0].fault.recovery());
                // Times are rounded to tenths of a second.
                assert!(calm + Duration::from_millis(200) >= PACE.calm.0, "seed {seed}: {pair:?}");
            }
            let last = planned.last().expect("a fault");
            assert!(last.ends() + last.fault.recovery() + PACE.calm.0 <= HALF_AN_HOUR + Duration::from_millis(200));
            let late = |planned: &&Planned| planned.fault == Fault::Deploy && planned.at > HALF_AN_HOUR / 2;
            assert_eq!(planned.iter().find(late), None, "seed {seed}");
        }
    }

    #[test]
    fn a_span_that_is_too_short_has_no_fault() {
        assert_eq!(draw(1, Through::Direct, Duration::from_secs(10), PACE), []);
    }
}
