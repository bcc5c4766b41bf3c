//! Whether a statement changes a PostgreSQL session.
//!
//! A call of a function that is not known to be harmless counts as a change: its body may do anything. Calls that no text
//! shows are missed: by triggers, defaults, views, rules and operators.

use super::functions::{HARMLESS, KEYWORDS, LATER, PURE};
use super::tokens::Token;
use super::{Leaves, Lower, Statement, is};

/// Functions whose effect no reset undoes.
const LASTING: [&str; 4] = ["dblink_connect", "dblink_connect_u", "pg_replication_origin_session_setup", "setseed"];

pub(super) fn take(statement: &mut Statement<'_>, token: Token<'_>) {
    match token {
        Token::Word(word) => {
            let lower = Lower::of(word);
            named(statement, lower.as_str());
            let into = statement.previous_word_is("INTO");
            // SELECT … INTO TEMPORARY t
            if into && matches!(lower.as_str(), "temp" | "temporary" | "local" | "global") {
                statement.leaves(Leaves::State);
            }
            if lower.as_str() == "hold" && statement.first_is("DECLARE") {
                statement.leaves(Leaves::State);
            }
        }
        Token::Quoted(word) => named(statement, word),
        Token::Open => {
            called(statement);
            statement.depth += 1;
        }
        Token::Close => {
            statement.depth = statement.depth.saturating_sub(1);
            if statement.setting == Some(statement.depth) {
                statement.setting = None;
                let local = statement.previous_word_is("TRUE") && statement.before[1] == Some(Token::Comma);
                statement.leaves(if local { Leaves::Nothing } else { Leaves::State });
            }
        }
        _ => {}
    }
}

/// Whole statements, by their first words.
pub(super) fn at_the_end(statement: &Statement<'_>) -> Leaves {
    if statement.setting.is_some() {
        return Leaves::State;
    }
    let Some(first) = statement.first else { return Leaves::Unknown };
    match Lower::of(first).as_str() {
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge" | "begin" | "start"
        | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" | "declare" | "fetch" | "move"
        | "close" | "lock" | "notify" | "truncate" | "analyze" | "vacuum" | "show" | "checkpoint" => Leaves::Nothing,
        "set" if statement.second_is(&["LOCAL", "TRANSACTION", "CONSTRAINTS"]) => Leaves::Nothing,
        "set" | "reset" | "discard" | "deallocate" | "listen" | "unlisten" | "execute" => Leaves::State,
        "prepare" => Leaves::State,
        "create" if statement.second_is(&["TEMP", "TEMPORARY", "LOCAL", "GLOBAL"]) => Leaves::State,
        "load" => Leaves::Lasting,
        _ => Leaves::Unknown,
    }
}

/// Any name in a statement.
fn named(statement: &mut Statement<'_>, name: &str) {
    // A write to pg_settings is a SET; objects in pg_temp belong to the session.
    if name == "pg_settings" || name.starts_with("pg_temp") {
        statement.leaves(Leaves::State);
    }
}

/// A parenthesis opens, perhaps after the name of a function.
fn called(statement: &mut Statement<'_>) {
    let lower;
    let name = match statement.before[0] {
        Some(Token::Word(word)) => {
            lower = Lower::of(word);
            if statement.qualifier.is_none() && contains(&KEYWORDS, lower.as_str()) {
                return;
            }
            lower.as_str()
        }
        Some(Token::Quoted(name)) => name,
        _ => return,
    };
    if is_no_call(statement.lead) {
        return;
    }
    let own = statement.qualifier.is_none_or(|qualifier| match qualifier {
        Token::Word(schema) => is(schema, "pg_catalog"),
        Token::Quoted(schema) => schema == "pg_catalog",
        _ => false,
    });
    if own && name == "set_config" {
        match statement.setting {
            None => statement.setting = Some(statement.depth),
            Some(_) => statement.leaves(Leaves::State),
        }
    } else if contains(&LASTING, name) {
        statement.leaves(Leaves::Lasting);
    } else if !(own && is_known(name)) {
        statement.leaves(Leaves::State);
    }
}

/// `INSERT INTO t (a)`, `AS t (a)`, `WITH t (a)`, `f(x) t (a)`: a list of columns, not of arguments.
fn is_no_call(lead: Option<Token<'_>>) -> bool {
    match lead {
        Some(Token::Close) => true,
        Some(Token::Word(word)) => ["INTO", "AS", "WITH", "RECURSIVE"].iter().any(|keyword| is(word, keyword)),
        _ => false,
    }
}

fn is_known(name: &str) -> bool {
    contains(&PURE, name) || contains(&HARMLESS, name) || contains(&LATER, name) || name.starts_with("st_")
}

fn contains(sorted: &[&str], name: &str) -> bool {
    sorted.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, effect};
    use super::*;

    fn leaves(sql: &str) -> Leaves {
        effect(sql, Dialect::Postgres).leaves
    }

    #[test]
    fn plain_queries_leave_nothing() {
        for sql in [
            "",
            "SELECT 1",
            "(SELECT a FROM t) UNION (SELECT b FROM u)",
            "SELECT count(*), lower(a), coalesce(b, 'SET x') FROM t WHERE a IN ($1, $2) AND EXISTS (SELECT FROM u)",
            "SELECT * FROM orders o JOIN LATERAL (SELECT now()) x ON (true) WHERE o.a = ANY($1) LIMIT (SELECT 5)",
            "INSERT INTO orders (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a",
            "insert into \"Orders\" (\"a\") select x from generate_series(1, 3) g(x)",
            "INSERT INTO shop.orders (a) VALUES (nextval('s'))",
            "UPDATE t SET (a, b) = (1, 2) WHERE c > current_setting('x')::int",
            "DELETE FROM t USING u WHERE t.a = u.a",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) OVER (ORDER BY i) FROM n",
            "WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x",
            "SELECT a::numeric(10, 2), CAST(b AS varchar(5)), interval '1 day' FROM t FOR UPDATE SKIP LOCKED",
            "SELECT * FROM unnest($1::int[], $2::text[]) AS u(a, b)",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE a > 0) FROM t",
            "SELECT set_config('app.tenant', $1, true)",
            "SELECT set_config('app.tenant', lower($1), TRUE), pg_advisory_xact_lock(1)",
            "SET LOCAL app.tenant = '42'",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET CONSTRAINTS ALL DEFERRED",
            "BEGIN; UPDATE t SET a = 1; COMMIT",
            "BEGIN READ ONLY",
            "DECLARE c CURSOR FOR SELECT 1",
            "NOTIFY changed, 'x'",
            "SELECT st_distance(a, b), uuid_generate_v4()",
            "SELECT pg_catalog.lower(a), PG_CATALOG.UPPER(b)",
            "SELECT temp, temporary FROM weather",
            "-- SET a\nSELECT 'x'' SET role', $$SET role$$, E'\\' SET role'",
        ] {
            assert_eq!(leaves(sql), Leaves::Nothing, "{sql}");
        }
    }

    #[test]
    fn what_a_statement_leaves_is_seen_in_every_dress() {
        for sql in [
            "SET a = 1",
            " set\n/* x */ SESSION a TO 1",
            "RESET a",
            "SELECT 1; SET a = 1",
            "SET ROLE x",
            "SELECT set_config('a', 'b', false)",
            "SELECT set_config('a', 'b', $1)",
            "SELECT set_config('a', set_config('b', 'c', false), true)",
            "SELECT SET_CONFIG('a', 'b', is_local => true)",
            "SELECT \"set_config\"('a', 'b', false)",
            "SELECT pg_catalog . set_config ('a', 'b', false)",
            "SELECT * FROM set_config('a', 'b', false)",
            "INSERT INTO t (a) SELECT set_config('a', 'b', false)",
            "INSERT INTO t SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_lock(1)",
            "SELECT my_function()",
            "SELECT app.lower('x')",
            "SELECT \"Lower\"('x')",
            "SELECT 1 FROM t WHERE my_check(a)",
            "SELECT 1 INTO TEMP t",
            "CREATE TEMPORARY TABLE t (a int)",
            "UPDATE pg_settings SET setting = 'x'",
            "UPDATE pg_catalog.\"pg_settings\" SET setting = 'x'",
            "LISTEN x",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "PREPARE x AS SELECT 1",
            "EXECUTE x",
            "DISCARD TEMP",
        ] {
            assert_eq!(leaves(sql), Leaves::State, "{sql}");
        }
        for sql in [
            "DO $$ BEGIN END $$",
            "CALL x()",
            "CREATE TABLE pg_temp_x (a int)",
            "CREATE SCHEMA AUTHORIZATION x CREATE TABLE t (a int)",
            "COPY t FROM STDIN",
            "IMPORT FOREIGN SCHEMA x",
            "SELECT 'cut",
            "EXPLAIN ANALYZE SELECT 1",
            "$1",
        ] {
            assert!(leaves(sql) >= Leaves::State, "{sql}");
        }
        for sql in ["LOAD 'x'", "SELECT setseed(0.5)", "SELECT public.dblink_connect('x')"] {
            assert_eq!(leaves(sql), Leaves::Lasting, "{sql}");
        }
    }

    #[test]
    fn the_lists_are_sorted() {
        for list in [&KEYWORDS[..], &PURE, &HARMLESS, &LATER, &LASTING] {
            assert!(list.is_sorted());
        }
    }

    /// The server's catalog says which of its functions have side effects.
    #[test]
    fn the_functions_are_those_of_the_server() {
        let server = poolgate_test_postgres::Postgres::start().expect("PostgreSQL");
        let listed = |names: &[&str]| names.iter().map(|name| format!("('{name}')")).collect::<Vec<_>>().join(",");
        let unlike = |names: &[&str], which: &str| {
            let question = format!(
                "SELECT name FROM (VALUES {}) AS known(name) WHERE {which} (SELECT FROM pg_proc WHERE proname = name AND \
                 pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v')",
                listed(names)
            );
            server.sql("postgres", &question).expect("an answer")
        };
        assert_eq!(unlike(&PURE, "EXISTS"), "", "declared volatile");
        assert_eq!(unlike(&HARMLESS, "NOT EXISTS"), "", "not declared volatile");
        assert!(!PURE.contains(&"set_config") && !HARMLESS.contains(&"pg_advisory_lock"));
    }
}
