//! Reads from the text of statements whether they open or end a transaction, and whether they change the session.
//!
//! A text is read once, before it is run. If it does not rule out a change of the session, it counts as one: that costs a
//! round trip in the background, while the opposite mistake would show one user's settings to the next.

mod functions;
mod postgres;
mod sqlite;
mod tokens;

use self::tokens::{Token, Tokens};

/// The syntax of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

/// What a text may do to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) transaction: Bounds,
    pub(crate) leaves: Leaves,
    /// One of its statements writes to the database.
    pub(crate) writes: bool,
}

/// Whether a text may leave a transaction open, or ends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    Neither,
    /// One of its statements begins a transaction.
    Opens,
    /// It is a single statement that ends a transaction.
    Ends,
}

/// The changes of the session that remain after the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Leaves {
    #[default]
    Nothing,
    /// Settings, locks and the like.
    State,
    /// Not known from the text.
    Unknown,
    /// Changes that no reset undoes.
    Lasting,
}

impl Effect {
    pub(crate) const NONE: Self = Self { transaction: Bounds::Neither, leaves: Leaves::Nothing, writes: false };
    pub(crate) const OPENS: Self = Self { transaction: Bounds::Opens, leaves: Leaves::Nothing, writes: false };
    pub(crate) const ENDS: Self = Self { transaction: Bounds::Ends, leaves: Leaves::Nothing, writes: false };
}

/// First words of statements that write to the database.
const CHANGES: [&str; 10] =
    ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "CREATE", "ALTER", "DROP", "TRUNCATE", "COPY"];

/// Reads `sql`. The result is `Ends` only if the text is nothing but the end of a transaction.
pub(crate) fn effect(sql: &str, dialect: Dialect) -> Effect {
    let mut reader =
        Reader { dialect, statements: 0, opens: false, ends: false, leaves: Leaves::Nothing, writes: false };
    let mut statement = Statement::default();
    for token in Tokens::of(sql, dialect) {
        match token {
            Token::Semicolon => {
                reader.end(&statement);
                statement = Statement::default();
            }
            Token::Cut => reader.leaves = reader.leaves.max(Leaves::Unknown),
            token => statement.take(token, dialect),
        }
    }
    reader.end(&statement);
    let transaction = match (reader.opens, reader.ends && reader.statements == 1) {
        (true, _) => Bounds::Opens,
        (false, true) => Bounds::Ends,
        (false, false) => Bounds::Neither,
    };
    Effect { transaction, leaves: reader.leaves, writes: reader.writes }
}

struct Reader {
    dialect: Dialect,
    statements: u32,
    opens: bool,
    ends: bool,
    leaves: Leaves,
    writes: bool,
}

impl Reader {
    fn end(&mut self, statement: &Statement<'_>) {
        if !statement.begun {
            return;
        }
        self.statements += 1;
        self.opens |= statement.opens();
        self.ends |= statement.ends();
        self.writes |= statement.writes;
        let leaves = match self.dialect {
            Dialect::Postgres => statement.leaves.max(postgres::at_the_end(statement)),
            Dialect::Sqlite => statement.leaves.max(sqlite::at_the_end(statement)),
        };
        self.leaves = self.leaves.max(leaves);
    }
}

/// One statement, as far as it has been read.
#[derive(Debug, Default)]
struct Statement<'s> {
    begun: bool,
    first: Option<&'s str>,
    second: Option<&'s str>,
    /// `COMMIT AND CHAIN` ends one transaction and begins the next.
    chained: bool,
    /// `ROLLBACK TO` returns to a savepoint and stays in the transaction.
    returns: bool,
    leaves: Leaves,
    /// Its first word writes, or any word after `WITH` does.
    writes: bool,
    before: [Option<Token<'s>>; 2],
    /// The token before a name that may be a function's, and the qualifier of the name (`qualifier.name`).
    lead: Option<Token<'s>>,
    qualifier: Option<Token<'s>>,
    depth: u32,
    /// The depth of a `set_config` whose last argument is still to come.
    setting: Option<u32>,
}

impl<'s> Statement<'s> {
    fn take(&mut self, token: Token<'s>, dialect: Dialect) {
        self.begun = true;
        if let Token::Word(word) = token {
            self.writes |=
                (self.first.is_none() || self.first_is("WITH")) && CHANGES.iter().any(|change| is(word, change));
            match (self.first, self.second) {
                (None, _) => self.first = Some(word),
                (Some(_), None) => self.second = Some(word),
                (Some(_), Some(_)) => {}
            }
            self.chained |= is(word, "CHAIN") && self.previous_word_is("AND");
            self.returns |= is(word, "TO");
        } else if self.first.is_none() && token != Token::Open {
            self.leaves = Leaves::Unknown;
        }
        match dialect {
            Dialect::Postgres => postgres::take(self, token),
            Dialect::Sqlite => sqlite::take(self, token),
        }
        self.follow_name(token);
        self.before = [Some(token), self.before[0]];
    }

    fn previous_word_is(&self, keyword: &str) -> bool {
        matches!(self.before[0], Some(Token::Word(word)) if is(word, keyword))
    }

    /// Keeps the token before `a`, `a.b` or `a.b.c`.
    fn follow_name(&mut self, token: Token<'s>) {
        match token {
            Token::Word(_) | Token::Quoted(_) if self.before[0] == Some(Token::Dot) => self.qualifier = self.before[1],
            Token::Word(_) | Token::Quoted(_) => (self.lead, self.qualifier) = (self.before[0], None),
            _ => {}
        }
    }

    fn leaves(&mut self, leaves: Leaves) {
        self.leaves = self.leaves.max(leaves);
    }

    fn first_is(&self, keyword: &str) -> bool {
        self.first.is_some_and(|word| is(word, keyword))
    }

    fn second_is(&self, keywords: &[&str]) -> bool {
        self.second.is_some_and(|word| keywords.iter().any(|keyword| is(word, keyword)))
    }

    fn continues(&self) -> bool {
        ["COMMIT", "END", "ROLLBACK", "ABORT"].iter().any(|keyword| self.first_is(keyword))
    }

    fn opens(&self) -> bool {
        self.first_is("BEGIN")
            || self.first_is("SAVEPOINT")
            || (self.first_is("START") && self.second_is(&["TRANSACTION"]))
            || (self.continues() && self.chains())
    }

    fn ends(&self) -> bool {
        self.continues() && !self.chains() && !(self.first_is("ROLLBACK") && self.returns)
    }

    fn chains(&self) -> bool {
        self.chained
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// A word in lower case, cut to the length of the longest known word.
struct Lower {
    letters: [u8; 64],
    length: usize,
}

impl Lower {
    fn of(word: &str) -> Self {
        let mut lower = Self { letters: [0; 64], length: word.len().min(64) };
        lower.letters[..lower.length].copy_from_slice(&word.as_bytes()[..lower.length]);
        lower.letters.make_ascii_lowercase();
        lower
    }

    fn as_str(&self) -> &str {
        // If the cut is within a character, it is no known word.
        std::str::from_utf8(&self.letters[..self.length]).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_seen_in_every_dress() {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let bounds = |sql| effect(sql, dialect).transaction;
            for sql in [
                "BEGIN",
                "  begin immediate",
                "/* why */ -- and how\n Start Transaction READ ONLY;",
                "SAVEPOINT a",
                "INSERT INTO t VALUES (1); BEGIN; SELECT 1",
                "BEGIN; COMMIT",
                "COMMIT AND CHAIN",
            ] {
                assert_eq!(bounds(sql), Bounds::Opens, "{sql}");
            }
            for sql in ["COMMIT", "commit;", "END", "ROLLBACK", "ROLLBACK AND NO CHAIN", "/* x */ abort"] {
                assert_eq!(bounds(sql), Bounds::Ends, "{sql}");
            }
            for sql in [
                "",
                "SELECT 1",
                "ROLLBACK TO SAVEPOINT a",
                "SELECT 'it begins'; SELECT 2",
                "START REPLICATION",
                "-- BEGIN",
                "/* BEGIN",
                "INSERT INTO t VALUES ('; COMMIT')",
                "BEGINNING",
            ] {
                assert_eq!(bounds(sql), Bounds::Neither, "{sql}");
            }
        }
    }

    #[test]
    fn one_pass_over_a_long_text_is_short() {
        let sql = format!("SELECT {} FROM t WHERE a = $1", vec!["lower(a) AS b"; 200].join(", "));
        assert_eq!(effect(&sql, Dialect::Postgres), Effect::NONE);
    }

    #[test]
    fn statements_that_change_something_are_seen() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "  update t SET a = 1",
            "/* why */ -- how\n DELETE FROM t",
            "WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone",
            "CREATE INDEX i ON t (a)",
        ] {
            assert!(effect(sql, Dialect::Postgres).writes, "{sql}");
        }
        for sql in
            ["", "SELECT 1", "SELECT * FROM t FOR UPDATE", "WITH x AS (SELECT 1) SELECT * FROM x", "BEGIN", "SHOW all"]
        {
            assert!(!effect(sql, Dialect::Postgres).writes, "{sql}");
        }
    }
}
