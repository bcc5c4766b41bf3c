//! What an error of the database means for its connection. The table is here and, with the source of each row, in
//! `docs/pool.md`.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What a connection needs after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Roll back an open transaction.
    RollBack,
    /// Discard its prepared statements.
    DiscardStatements,
    /// The same, but close it if they have been discarded before.
    DiscardStatementsOnce,
    /// Ask the server whether it has become read-only.
    AskRole,
    /// Close it.
    Close,
}

/// Errors whose code starts with `code`.
#[derive(Debug)]
struct Row {
    code: &'static str,
    sign: Sign,
    remedy: Remedy,
}

/// What distinguishes an error from others with its code. Names of server routines do not depend on the language, and
/// messages of internal errors are not translated.
#[derive(Debug)]
enum Sign {
    None,
    Routine(&'static [&'static str]),
    /// The message starts with one of the first, or the routine is one of the second.
    Message(&'static [&'static str], &'static [&'static str]),
}

const fn row(code: &'static str, sign: Sign, remedy: Remedy) -> Row {
    Row { code, sign, remedy }
}

/// The first matching row applies; without one, roll back. An error that ends the session (`FATAL`, `PANIC`) closes.
const POSTGRES: [Row; 16] = [
    row("08", Sign::None, Remedy::Close),
    row("57P", Sign::None, Remedy::Close),
    row("25P03", Sign::None, Remedy::Close),
    row("25P04", Sign::None, Remedy::Close),
    row("25006", Sign::None, Remedy::AskRole),
    row("0A000", Sign::Routine(&["GetSerializableTransactionSnapshot"]), Remedy::AskRole),
    row("55000", Sign::Message(&["recovery is in progress"], &[]), Remedy::AskRole),
    row("XX000", Sign::Message(&["cannot assign TransactionIds during recovery"], &[]), Remedy::AskRole),
    row(
        "0A000",
        Sign::Message(&["cached plan must not change result type"], &["RevalidateCachedQuery", "RevalidateCachedPlan"]),
        Remedy::DiscardStatementsOnce,
    ),
    row("42804", Sign::Routine(&["ExecEvalWholeRowVar", "CheckVarSlotCompatibility"]), Remedy::DiscardStatementsOnce),
    row("42804", Sign::Message(&["type of parameter "], &["plpgsql_param_eval_generic"]), Remedy::Close),
    row("26000", Sign::None, Remedy::DiscardStatements),
    row("42P05", Sign::None, Remedy::DiscardStatements),
    row("42704", Sign::Message(&["type with OID"], &["lookup_type_cache"]), Remedy::Close),
    row("XX000", Sign::Message(&["cache lookup failed"], &[]), Remedy::Close),
    row("XX000", Sign::Message(&["could not open relation with OID"], &[]), Remedy::Close),
];

/// SQLite's result codes. The last byte of an extended code is the plain code.
const SQLITE: [(u32, Remedy); 7] = [
    // The file was moved or replaced under the connection: an extended code of READONLY.
    (1032, Remedy::Close),
    // IOERR, CORRUPT, CANTOPEN, NOTADB, PROTOCOL
    (10, Remedy::Close),
    (11, Remedy::Close),
    (14, Remedy::Close),
    (26, Remedy::Close),
    (15, Remedy::Close),
    // SCHEMA
    (17, Remedy::DiscardStatements),
];

/// The remedy for an error.
pub(crate) fn of(error: &dyn DatabaseError) -> Remedy {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    if postgres.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)) {
        return Remedy::Close;
    }
    let Some(code) = error.code() else { return Remedy::RollBack };
    match (code.len(), code.parse::<u32>()) {
        // A SQLSTATE has five characters.
        (..5, Ok(code)) => of_sqlite(code),
        _ => of_postgres(&code, error.message(), postgres.and_then(PgDatabaseError::routine)),
    }
}

fn of_postgres(code: &str, message: &str, routine: Option<&str>) -> Remedy {
    let is_one = |routines: &[&str]| routine.is_some_and(|routine| routines.contains(&routine));
    let fits = |row: &&Row| {
        code.starts_with(row.code)
            && match row.sign {
                Sign::None => true,
                Sign::Routine(routines) => is_one(routines),
                Sign::Message(beginnings, routines) => {
                    is_one(routines) || beginnings.iter().any(|beginning| message.starts_with(beginning))
                }
            }
    };
    POSTGRES.iter().find(fits).map_or(Remedy::RollBack, |row| row.remedy)
}

fn of_sqlite(code: u32) -> Remedy {
    let fits = |(known, _): &&(u32, Remedy)| *known == code || *known == code & 0xff;
    SQLITE.iter().find(fits).map_or(Remedy::RollBack, |(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let plain = |code| of_postgres(code, "", None);
        for code in ["08006", "08P01", "57P01", "57P05", "25P03", "25P04"] {
            assert_eq!(plain(code), Remedy::Close, "{code}");
        }
        for code in ["23505", "40001", "40P01", "57014", "25P02", "25001", "0A000", "42804", "XX000", "55000", "53200"]
        {
            assert_eq!(plain(code), Remedy::RollBack, "{code}");
        }
        assert_eq!(plain("25006"), Remedy::AskRole);
        assert_eq!((plain("26000"), plain("42P05")), (Remedy::DiscardStatements, Remedy::DiscardStatements));
        // In any language, and from a server that does not report the routine.
        let plan = |message, routine| of_postgres("0A000", message, routine);
        assert_eq!(
            plan("gecachter Plan darf den Ergebnistyp nicht ändern", Some("RevalidateCachedQuery")),
            Remedy::DiscardStatementsOnce
        );
        assert_eq!(plan("cached plan must not change result type", None), Remedy::DiscardStatementsOnce);
        assert_eq!(of_postgres("XX000", "cache lookup failed for type 16405", None), Remedy::Close);
        assert_eq!(of_postgres("XX000", "parse error - invalid geometry", None), Remedy::RollBack);
    }

    #[test]
    fn extended_codes_of_sqlite_are_those_of_their_kind() {
        assert_eq!((of_sqlite(1032), of_sqlite(8)), (Remedy::Close, Remedy::RollBack));
        assert_eq!((of_sqlite(10 | 13 << 8), of_sqlite(19 | 8 << 8)), (Remedy::Close, Remedy::RollBack));
        assert_eq!((of_sqlite(5), of_sqlite(17)), (Remedy::RollBack, Remedy::DiscardStatements));
    }

    /// The table in the documentation has every row of this one.
    #[test]
    fn the_documented_table_is_complete() {
        let document = include_str!("../../../../docs/pool.md");
        for row in &POSTGRES {
            assert!(document.contains(&format!("`{}", row.code)), "{row:?}");
        }
        for (code, _) in SQLITE {
            assert!(document.contains(&format!("`{code}`")), "{code}");
        }
    }
}
