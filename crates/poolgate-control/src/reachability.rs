//! Whether the pool can use the database, judged by the newest evidence.

use std::time::Duration;

/// A pool without connections counts as shut out after every connect has failed for this long.
const SHUT_OUT_AFTER: Duration = Duration::from_secs(1);
/// A refused login does not count while an open connection has answered within this time.
const PROOF: Duration = Duration::from_secs(3);

/// Whether the database can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The newest evidence is an answer.
    Answering,
    /// It is paused on purpose: requests wait and are served later. This is no outage.
    Paused,
    /// The newest evidence is a failed connect or a missing answer.
    Silent,
    /// It answers, but refuses this server's login: a wrong password, a missing database.
    LoginRefused,
    /// It answers, but has no free connection.
    ServerFull,
}

impl Reachability {
    /// What is wrong with a [lost](Self::is_lost) database, in a phrase. `cause` is the message of the database or of
    /// the system.
    pub fn trouble(self, cause: Option<&str>) -> String {
        let what = match (self, cause) {
            (Self::LoginRefused, _) => "the database refuses this server's login",
            (Self::ServerFull, _) => "the database server has no free connection",
            (_, Some(_)) => "the database cannot be reached",
            (_, None) => "the database does not answer",
        };
        cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
    }

    /// Whether the database cannot be used.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Silent | Self::LoginRefused | Self::ServerFull)
    }
}

/// The evidence about the database, as ages at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Time since it last accepted a connection, or answered on an open one.
    pub answered: Option<Duration>,
    /// Time since the newest failure, and its kind, one of the [lost](Reachability::is_lost) ones.
    pub failed: Option<(Duration, Reachability)>,
    /// For how long every attempt to open a connection has failed, and how the newest one did; `None` if the newest one
    /// succeeded.
    pub connects: Option<(Duration, Reachability)>,
    /// Open connections of the pool; `None` if unknown.
    pub open: Option<u32>,
}

impl Evidence {
    /// Whether the database can be used by the pool.
    ///
    /// The newest evidence counts, with two exceptions. A pool that has no connection and gets none is shut out, even
    /// if other connections work. A server that only refuses *new* connections still serves the open ones.
    pub fn reachability(&self) -> Reachability {
        if let (Some(0), Some((since, met))) = (self.open, self.connects)
            && since >= SHUT_OUT_AFTER
        {
            return met;
        }
        let is_news = |failed: &Duration| self.answered.is_none_or(|answered| *failed < answered);
        let Some((_, met)) = self.failed.filter(|(failed, _)| is_news(failed)) else {
            return if self.answered.is_some() { Reachability::Answering } else { Reachability::Unknown };
        };
        match (met, self.answered) {
            (Reachability::ServerFull, None) => Reachability::Unknown,
            (Reachability::ServerFull, Some(_)) => Reachability::Answering,
            (Reachability::LoginRefused, Some(answered)) if answered < PROOF && self.open != Some(0) => {
                Reachability::Answering
            }
            (met, _) => met,
        }
    }

    /// Why new connections fail, if they do; the open ones may still work.
    pub fn connects(&self) -> Reachability {
        self.connects.filter(|(since, _)| *since >= SHUT_OUT_AFTER).map_or(Reachability::Unknown, |(_, met)| met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ago(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    const fn met(milliseconds: u64, what: Reachability) -> Option<(Duration, Reachability)> {
        Some((Duration::from_millis(milliseconds), what))
    }

    #[test]
    fn the_newest_evidence_counts() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.reachability(), Reachability::Unknown);
        evidence.failed = met(300, Reachability::Silent);
        assert_eq!(evidence.reachability(), Reachability::Silent);
        evidence.answered = ago(200);
        assert_eq!(evidence.reachability(), Reachability::Answering);
        evidence.failed = met(100, Reachability::Silent);
        assert_eq!(evidence.reachability(), Reachability::Silent);
        evidence.failed = met(200, Reachability::Silent);
        assert_eq!(evidence.reachability(), Reachability::Answering, "in doubt it answers");
    }

    #[test]
    fn a_pool_that_has_no_connection_and_gets_none_is_shut_out_even_if_others_are_answered() {
        for what in [Reachability::ServerFull, Reachability::LoginRefused, Reachability::Silent] {
            let mut evidence =
                Evidence { answered: ago(50), failed: met(100, what), connects: met(900, what), open: Some(0) };
            assert_eq!(evidence.reachability(), Reachability::Answering, "one failed connect is no outage");
            evidence.connects = met(1000, what);
            assert_eq!(evidence.reachability(), what);
            evidence.open = Some(1);
            assert_eq!(evidence.reachability(), Reachability::Answering, "one connection works");
            assert_eq!(evidence.connects(), what);
        }
    }

    #[test]
    fn a_full_server_still_serves_the_connections_that_are_open() {
        let full = met(10, Reachability::ServerFull);
        let evidence = Evidence { answered: ago(60_000), failed: full, connects: full, open: Some(3) };
        assert_eq!(evidence.reachability(), Reachability::Answering);
        assert_eq!(Evidence { open: None, ..evidence }.reachability(), Reachability::Answering);
        assert_eq!(
            Evidence { answered: None, ..evidence }.reachability(),
            Reachability::Unknown,
            "no login has succeeded yet"
        );
    }

    #[test]
    fn a_refused_login_is_an_outage_unless_an_open_connection_proves_the_contrary() {
        let refused = met(10, Reachability::LoginRefused);
        let mut evidence = Evidence { answered: ago(1000), failed: refused, connects: refused, open: Some(3) };
        assert_eq!(evidence.reachability(), Reachability::Answering, "the password changed; sessions go on");
        evidence.answered = ago(3000);
        assert_eq!(evidence.reachability(), Reachability::LoginRefused, "the database was dropped; nothing answers");
        evidence.answered = None;
        assert_eq!(evidence.reachability(), Reachability::LoginRefused);
    }
}
