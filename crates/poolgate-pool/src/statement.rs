//! What the text of a statement says about transactions.

/// Whether a text may leave a transaction open, or ends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Some statement in it begins a transaction.
    Opens,
    /// It is one statement that ends a transaction.
    Ends,
}

/// Reads the first words of each statement in `sql`. It splits at every semicolon, those in literals included, and so
/// may see a `BEGIN` where there is none, which costs a check; `Ends` is said only of a text that is nothing else.
pub(crate) fn effect(sql: &str) -> Effect {
    let mut statements = sql.split(';').map(without_comments).filter(|text| !text.is_empty());
    let Some(first) = statements.next() else {
        return Effect::None;
    };
    let alone = statements.clone().next().is_none();
    if alone && ends(first) {
        return Effect::Ends;
    }
    let opens = opens(first) || statements.any(opens);
    if opens { Effect::Opens } else { Effect::None }
}

fn opens(statement: &str) -> bool {
    let mut words = words(statement);
    let Some(first) = words.next() else {
        return false;
    };
    let continues = |w: &str| is(w, "COMMIT") || is(w, "END") || is(w, "ROLLBACK") || is(w, "ABORT");
    is(first, "BEGIN")
        || is(first, "SAVEPOINT")
        || (is(first, "START") && words.next().is_some_and(|word| is(word, "TRANSACTION")))
        // COMMIT AND CHAIN ends one transaction and begins the next.
        || (continues(first) && is_chained(statement))
}

fn ends(statement: &str) -> bool {
    let mut words = words(statement);
    let Some(first) = words.next() else {
        return false;
    };
    let whole = is(first, "COMMIT") || is(first, "END") || is(first, "ABORT");
    // ROLLBACK TO returns to a savepoint and stays in the transaction.
    let rollback = is(first, "ROLLBACK") && !words.any(|word| is(word, "TO"));
    (whole || rollback) && !is_chained(statement)
}

fn is_chained(statement: &str) -> bool {
    let mut words = words(statement).skip_while(|word| !is(word, "AND"));
    words.nth(1).is_some_and(|word| is(word, "CHAIN"))
}

pub(crate) fn words(statement: &str) -> impl Iterator<Item = &str> {
    statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// The statement from its first word on.
pub(crate) fn without_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let after = if text.starts_with("--") {
            text.find('\n')
        } else if text.starts_with("/*") {
            text.find("*/").map(|end| end + 1)
        } else {
            return text;
        };
        // A comment that does not end here is all there is.
        text = after.and_then(|end| text.get(end + 1..)).unwrap_or("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_seen_in_every_dress() {
        for sql in [
            "BEGIN",
            "  begin immediate",
            "/* why */ -- and how\n Start Transaction READ ONLY;",
            "SAVEPOINT a",
            "INSERT INTO t VALUES (1); BEGIN; SELECT 1",
            "BEGIN; COMMIT",
            "COMMIT AND CHAIN",
        ] {
            assert_eq!(effect(sql), Effect::Opens, "{sql}");
        }
        for sql in ["COMMIT", "commit;", "END", "ROLLBACK", "ROLLBACK AND NO CHAIN", "/* x */ abort"] {
            assert_eq!(effect(sql), Effect::Ends, "{sql}");
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
            assert_eq!(effect(sql), Effect::None, "{sql}");
        }
    }
}
