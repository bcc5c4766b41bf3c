//! What statements tell about the database: whether it answers, and whether it accepts writes.

/// How the statements of one lease ended; reported to the [`Observer`](crate::Observer) when the lease is returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// At least one statement succeeded: the database answers.
    pub answered: bool,
    /// How the newest write ended, if that tells something about the database. `None` if nothing was written, or a write
    /// failed for a reason in the statement, such as a duplicate key.
    pub write: Option<Result<(), WriteTrouble>>,
}

/// Why a database that answers does not accept a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteTrouble {
    /// It is read-only: a standby, `default_transaction_read_only`, or a file that may not be written.
    ReadOnly,
    /// There is no space left on its disk.
    StorageFull,
    /// Another session holds a lock, and the wait for it timed out.
    Blocked,
}

impl WriteTrouble {
    /// The trouble that this error reports, if any.
    ///
    /// | trouble | PostgreSQL | SQLite |
    /// |---|---|---|
    /// | [`ReadOnly`](Self::ReadOnly) | 25006 `read_only_sql_transaction` | 8 `SQLITE_READONLY` |
    /// | [`StorageFull`](Self::StorageFull) | 53100 `disk_full` | 13 `SQLITE_FULL` |
    /// | [`Blocked`](Self::Blocked) | 55P03 `lock_not_available` | 5 `SQLITE_BUSY`, 6 `SQLITE_LOCKED` |
    ///
    /// Sources: PostgreSQL's appendix "Error Codes", SQLite's "Result and Error Codes". For SQLite's extended codes the low
    /// byte decides.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        let code = error.as_database_error()?.code()?;
        Self::of_code(&code)
    }

    fn of_code(code: &str) -> Option<Self> {
        // SQLSTATEs have five characters, SQLite's numbers fewer.
        if code.len() == 5 {
            return match code {
                "25006" => Some(Self::ReadOnly),
                "53100" => Some(Self::StorageFull),
                "55P03" => Some(Self::Blocked),
                _ => None,
            };
        }
        match code.parse::<u32>().ok()? & 0xff {
            8 => Some(Self::ReadOnly),
            13 => Some(Self::StorageFull),
            5 | 6 => Some(Self::Blocked),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_why_a_write_failed() {
        for (code, trouble) in [
            ("25006", Some(WriteTrouble::ReadOnly)),
            ("8", Some(WriteTrouble::ReadOnly)),
            ("1032", Some(WriteTrouble::ReadOnly)),
            ("53100", Some(WriteTrouble::StorageFull)),
            ("13", Some(WriteTrouble::StorageFull)),
            ("55P03", Some(WriteTrouble::Blocked)),
            ("5", Some(WriteTrouble::Blocked)),
            ("517", Some(WriteTrouble::Blocked)),
            ("262", Some(WriteTrouble::Blocked)),
            ("23505", None),
            ("2067", None),
            ("42P01", None),
            ("1", None),
            ("40P01", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(WriteTrouble::of_code(code), trouble, "{code}");
        }
    }
}
