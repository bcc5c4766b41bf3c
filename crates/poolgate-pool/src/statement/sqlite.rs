//! Whether a statement changes a SQLite connection: pragmas, attached databases, temporary tables.

use super::tokens::Token;
use super::{Leaves, Lower, Statement, is};

/// Pragmas that take an argument and change no setting of the connection.
const READING: [&str; 17] = [
    "application_id",
    "data_version",
    "foreign_key_check",
    "foreign_key_list",
    "incremental_vacuum",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "optimize",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
    "wal_checkpoint",
];

pub(super) fn take(statement: &mut Statement<'_>, token: Token<'_>) {
    match token {
        Token::Equals | Token::Open if statement.first_is("PRAGMA") => {
            let reads = match statement.before[0] {
                Some(Token::Word(name) | Token::Quoted(name)) => {
                    READING.binary_search(&Lower::of(name).as_str()).is_ok()
                }
                _ => false,
            };
            statement.leaves(if reads { Leaves::Nothing } else { Leaves::State });
        }
        // CREATE TABLE temp.t
        Token::Dot if statement.first_is("CREATE") => {
            if matches!(statement.before[0], Some(Token::Word(name) | Token::Quoted(name)) if is(name, "temp")) {
                statement.leaves(Leaves::State);
            }
        }
        Token::Open if statement.previous_word_is("load_extension") => statement.leaves(Leaves::Lasting),
        _ => {}
    }
}

/// Whole statements, by their first words.
pub(super) fn at_the_end(statement: &Statement<'_>) -> Leaves {
    let Some(first) = statement.first else { return Leaves::Unknown };
    match Lower::of(first).as_str() {
        "select" | "with" | "values" | "insert" | "replace" | "update" | "delete" | "begin" | "commit" | "end"
        | "rollback" | "savepoint" | "release" | "analyze" | "reindex" | "vacuum" | "explain" | "drop" | "alter"
        | "pragma" => Leaves::Nothing,
        "create" if statement.second_is(&["TEMP", "TEMPORARY"]) => Leaves::State,
        "create" => Leaves::Nothing,
        "attach" | "detach" => Leaves::State,
        _ => Leaves::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, effect};
    use super::*;

    #[test]
    fn pragmas_attached_databases_and_temporary_tables_are_seen() {
        let leaves = |sql| effect(sql, Dialect::Sqlite).leaves;
        for sql in [
            "SELECT my_function(1) FROM [a b]",
            "INSERT OR REPLACE INTO t (a) VALUES (?1)",
            "REPLACE INTO t VALUES (1)",
            "CREATE TABLE t (a INTEGER); CREATE INDEX i ON t (a)",
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE t SET a = 1; END",
            "PRAGMA foreign_keys",
            "PRAGMA table_info(t)",
            "PRAGMA main.wal_checkpoint(TRUNCATE)",
            "PRAGMA user_version = 3",
            "BEGIN IMMEDIATE; COMMIT",
            "VACUUM",
            "SELECT temp.a FROM temp",
        ] {
            assert_eq!(leaves(sql), Leaves::Nothing, "{sql}");
        }
        for sql in [
            "PRAGMA foreign_keys = OFF",
            "pragma main.query_only(1)",
            "ATTACH 'x.db' AS x",
            "DETACH x",
            "CREATE TEMP TABLE t (a)",
            "CREATE TEMPORARY VIEW v AS SELECT 1",
            "CREATE TABLE temp.t (a)",
            "SELECT 1; PRAGMA recursive_triggers = ON",
        ] {
            assert_eq!(leaves(sql), Leaves::State, "{sql}");
        }
        assert_eq!(leaves("SELECT load_extension('x')"), Leaves::Lasting);
        assert!(READING.is_sorted());
    }
}
