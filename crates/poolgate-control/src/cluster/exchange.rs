//! What a replica writes to the store, and what it reads.

use poolgate_types::{ConfigVersion, ThrottlingConfig};
use serde::{Deserialize, Serialize};

use super::{ledger::Ledger, row::Row};

/// What a replica wants to write, in one atomic step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its own row.
    pub row: Row,
    /// A ledger to write if the store's revision is still one lower. The first ledger of all may be
    /// written only if there is none; its revision does not matter then.
    pub ledger: Option<Ledger>,
    /// A config to write if the store's is still the one in `replaces`.
    pub config: Option<ThrottlingConfig>,
    /// The store's config as this replica last read it; `None` for none.
    pub replaces: Option<ConfigVersion>,
    /// Whether `ledger` is the first.
    pub is_first: bool,
}

/// What a replica reads: the whole store, before or after the write. Of the config it must be known whether it was
/// written: only what was read is served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// All rows.
    pub rows: Vec<Row>,
    /// The ledger, if there is one.
    pub ledger: Option<Ledger>,
    /// The config of the cluster, if there is one.
    pub config: Option<ThrottlingConfig>,
}
