//! Whether the database can be used, from what was heard of it.

use std::time::Duration;

/// For so long every connect must have failed before a pool without a connection counts as shut out.
const SHUT_OUT_AFTER: Duration = Duration::from_secs(1);
/// A refused login does not matter as long as an open connection has answered this lately.
const PROOF: Duration = Duration::from_secs(3);

/// Whether the database can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contact {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The newest evidence is an answer.
    Answering,
    /// It is paused on purpose: requests wait, and are served later. This is no outage.
    Paused,
    /// The newest evidence is a failure to connect or an answer that did not come in time.
    Silent,
    /// It answers, and does not let this server in: a wrong password, a missing database.
    LoginRefused,
    /// It answers, and has no free connection.
    ServerFull,
}

impl Contact {
    /// What is wrong with a database that is [lost](Self::is_lost), in a phrase; `cause` is what it or the system said.
    pub fn trouble(self, cause: Option<&str>) -> String {
        let what = match (self, cause) {
            (Self::LoginRefused, _) => "the database refuses this server's login",
            (Self::ServerFull, _) => "the database server has no free connection",
            (_, Some(_)) => "the database cannot be reached",
            (_, None) => "the database does not answer",
        };
        cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
    }

    /// Whether nobody can use the database.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Silent | Self::LoginRefused | Self::ServerFull)
    }
}

/// What was heard of the database, as ages at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Since it last let somebody in, or answered on a connection that was open.
    pub answered: Option<Duration>,
    /// Since the newest failure, and what it was, one of the [lost](Contact::is_lost) ones.
    pub failed: Option<(Duration, Contact)>,
    /// Since when every attempt to open a connection has failed, and what the newest one met; `None` when the newest one
    /// succeeded.
    pub connects: Option<(Duration, Contact)>,
    /// Connections that the pool has open; `None` where that is not known.
    pub open: Option<u32>,
}

impl Evidence {
    /// Whether the database can be used by the pool.
    ///
    /// The newest evidence counts, with two exceptions. A pool that has no connection and gets none is shut out, whatever
    /// others hear of the database. A server that only takes no *new* connections still serves the open ones.
    pub fn contact(&self) -> Contact {
        if let (Some(0), Some((since, met))) = (self.open, self.connects)
            && since >= SHUT_OUT_AFTER
        {
            return met;
        }
        let is_news = |failed: &Duration| self.answered.is_none_or(|answered| *failed < answered);
        let Some((_, met)) = self.failed.filter(|(failed, _)| is_news(failed)) else {
            return if self.answered.is_some() { Contact::Answering } else { Contact::Unknown };
        };
        match (met, self.answered) {
            (Contact::ServerFull, None) => Contact::Unknown,
            (Contact::ServerFull, Some(_)) => Contact::Answering,
            (Contact::LoginRefused, Some(answered)) if answered < PROOF && self.open != Some(0) => Contact::Answering,
            (met, _) => met,
        }
    }

    /// What new connections meet, where they fail: the open ones may still work.
    pub fn connects(&self) -> Contact {
        self.connects.filter(|(since, _)| *since >= SHUT_OUT_AFTER).map_or(Contact::Unknown, |(_, met)| met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ago(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    const fn met(milliseconds: u64, what: Contact) -> Option<(Duration, Contact)> {
        Some((Duration::from_millis(milliseconds), what))
    }

    #[test]
    fn the_newest_evidence_counts() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.contact(), Contact::Unknown);
        evidence.failed = met(300, Contact::Silent);
        assert_eq!(evidence.contact(), Contact::Silent);
        evidence.answered = ago(200);
        assert_eq!(evidence.contact(), Contact::Answering);
        evidence.failed = met(100, Contact::Silent);
        assert_eq!(evidence.contact(), Contact::Silent);
        evidence.failed = met(200, Contact::Silent);
        assert_eq!(evidence.contact(), Contact::Answering, "in doubt it answers");
    }

    #[test]
    fn a_pool_that_has_no_connection_and_gets_none_is_shut_out_whatever_others_hear() {
        for what in [Contact::ServerFull, Contact::LoginRefused, Contact::Silent] {
            let mut evidence =
                Evidence { answered: ago(50), failed: met(100, what), connects: met(900, what), open: Some(0) };
            assert_eq!(evidence.contact(), Contact::Answering, "one failed connect is no outage");
            evidence.connects = met(1000, what);
            assert_eq!(evidence.contact(), what);
            evidence.open = Some(1);
            assert_eq!(evidence.contact(), Contact::Answering, "one connection works");
            assert_eq!(evidence.connects(), what);
        }
    }

    #[test]
    fn a_full_server_still_serves_the_connections_that_are_open() {
        let full = met(10, Contact::ServerFull);
        let evidence = Evidence { answered: ago(60_000), failed: full, connects: full, open: Some(3) };
        assert_eq!(evidence.contact(), Contact::Answering);
        assert_eq!(Evidence { open: None, ..evidence }.contact(), Contact::Answering);
        assert_eq!(Evidence { answered: None, ..evidence }.contact(), Contact::Unknown, "nobody has come in yet");
    }

    #[test]
    fn a_refused_login_is_an_outage_unless_an_open_connection_proves_the_contrary() {
        let refused = met(10, Contact::LoginRefused);
        let mut evidence = Evidence { answered: ago(1000), failed: refused, connects: refused, open: Some(3) };
        assert_eq!(evidence.contact(), Contact::Answering, "the password changed; sessions go on");
        evidence.answered = ago(3000);
        assert_eq!(evidence.contact(), Contact::LoginRefused, "the database was dropped; nothing answers");
        evidence.answered = None;
        assert_eq!(evidence.contact(), Contact::LoginRefused);
    }
}
