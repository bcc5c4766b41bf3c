//! A store in memory, for simulations and benchmarks.

use std::collections::BTreeMap;

use poolgate_types::ThrottlingConfig;

use super::{
    exchange::{Exchange, Seen},
    ledger::Ledger,
    row::{ReplicaId, Row},
};

/// A store in memory that takes an exchange as one atomic step and keeps the rules of [`Exchange`]; for simulations and
/// benchmarks. A new one is empty.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: BTreeMap<ReplicaId, Row>,
    ledger: Option<Ledger>,
    config: Option<ThrottlingConfig>,
}

impl MemoryStore {
    /// Takes what may be written, and reads everything.
    pub fn exchange(&mut self, write: Exchange) -> Seen {
        let is_next = |ledger: &Ledger| match &self.ledger {
            Some(present) => !write.is_first && ledger.revision == present.revision + 1,
            None => write.is_first,
        };
        if let Some(ledger) = write.ledger.filter(is_next) {
            self.ledger = Some(ledger);
        }
        if self.rows.get(&write.row.id).is_none_or(|row| row.seq < write.row.seq) {
            self.rows.insert(write.row.id, write.row);
        }
        if write.config.is_some() && write.replaces == self.config.as_ref().map(ThrottlingConfig::at) {
            self.config = write.config;
        }
        let rows = self.rows.values().cloned().collect();
        Seen { rows, ledger: self.ledger.clone(), config: self.config.clone() }
    }
}
