//! The bucket: what it is called, how it is made, and what it holds.

use std::collections::BTreeMap;

use async_nats::jetstream::{
    message::StreamMessage,
    stream::{Config, DiscardPolicy, StorageType},
};
use poolgate_control::cluster::{Ledger, ReplicaId, Row, Seen};
use poolgate_types::ThrottlingConfig;
use serde::de::DeserializeOwned;

/// The header of a message that stands for a deleted key.
const OPERATION: &str = "KV-Operation";
/// A row that was not written for this many seconds is deleted. Its owner, if it still lives, writes it again.
const FORGOTTEN: i64 = 600;

pub(super) const LEDGER: &str = "ledger";
pub(super) const CONFIG: &str = "config";
const ROW: &str = "row.";

/// The key of a replica's row.
pub(super) fn row(id: ReplicaId) -> String {
    format!("{ROW}{id}")
}

/// The cluster's bucket. A bucket's name has no dots.
pub(super) fn name(prefix: &str) -> String {
    format!("poolgate_cluster_{}", prefix.replace('.', "_"))
}

/// The stream under the bucket.
pub(super) fn stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// What comes before the key in a message's subject.
pub(super) fn subject(bucket: &str) -> String {
    format!("$KV.{bucket}.")
}

/// A bucket as `nats kv add` makes it, in memory: what was written is worth nothing after a restart. No direct reads: those
/// may come from a server that lags behind.
pub(super) fn config(bucket: &str) -> Config {
    Config {
        name: stream(bucket),
        subjects: vec![format!("{}>", subject(bucket))],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        storage: StorageType::Memory,
        num_replicas: 1,
        allow_rollup: true,
        deny_delete: true,
        ..Config::default()
    }
}

/// What a key holds.
#[derive(Debug)]
pub(super) struct Entry {
    /// The number of the write, which the next one must name.
    pub(super) revision: u64,
    /// When it was written, in seconds of the server's clock.
    written: i64,
    /// The document, unless the key was deleted.
    body: Option<Vec<u8>>,
}

impl From<StreamMessage> for Entry {
    fn from(message: StreamMessage) -> Self {
        let is_deleted = message.headers.get(OPERATION).is_some();
        Self {
            revision: message.sequence,
            written: message.time.unix_timestamp(),
            body: (!is_deleted).then(|| message.payload.to_vec()),
        }
    }
}

/// All keys as they were read.
#[derive(Debug, Default)]
pub(super) struct Contents(pub(super) BTreeMap<String, Entry>);

impl Contents {
    /// The revision that a write of this key replaces; 0 for none.
    pub(super) fn revision(&self, key: &str) -> u64 {
        self.0.get(key).map_or(0, |entry| entry.revision)
    }

    /// The document of this key, if there is one.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, serde_json::Error> {
        let body = self.0.get(key).and_then(|entry| entry.body.as_ref());
        body.map(|body| serde_json::from_slice(body)).transpose()
    }

    /// The keys of rows that nothing was heard of for long before the row of `own` was written, with the revision of each.
    pub(super) fn forgotten(&self, own: ReplicaId) -> Vec<(&str, u64)> {
        let Some(now) = self.0.get(&row(own)).map(|own| own.written) else { return Vec::new() };
        let rows = self.0.iter().filter(|(key, entry)| key.starts_with(ROW) && now - entry.written > FORGOTTEN);
        rows.map(|(key, entry)| (key.as_str(), entry.revision)).collect()
    }

    /// What the replica `own` reads.
    pub(super) fn seen(&self, own: ReplicaId) -> Result<Seen, serde_json::Error> {
        let forgotten = self.forgotten(own);
        let is_kept = |key: &str| key.starts_with(ROW) && forgotten.iter().all(|(forgotten, _)| *forgotten != key);
        let rows = self.0.keys().filter(|key| is_kept(key));
        Ok(Seen {
            rows: rows.filter_map(|key| self.get::<Row>(key).transpose()).collect::<Result<_, _>>()?,
            ledger: self.get::<Ledger>(LEDGER)?,
            config: self.get::<ThrottlingConfig>(CONFIG)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(written: i64, body: Option<&str>) -> Entry {
        Entry { revision: 1, written, body: body.map(|body| body.as_bytes().to_vec()) }
    }

    #[test]
    fn a_row_that_was_not_written_for_ten_minutes_is_forgotten() {
        let key = |id| row(ReplicaId(id));
        let mut contents = Contents::default();
        contents.0.extend([
            (key(1), entry(10_000, Some("1"))),
            (key(2), entry(9_400, Some("2"))),
            (key(3), entry(9_399, Some("3"))),
            (CONFIG.to_owned(), entry(0, None)),
        ]);
        assert_eq!(contents.forgotten(ReplicaId(1)), [(key(3).as_str(), 1)]);
        assert_eq!(contents.forgotten(ReplicaId(2)), [], "by the server's time of the own row");
        assert_eq!(contents.forgotten(ReplicaId(4)), [], "its own row is not there");
    }

    #[test]
    fn a_buckets_name_has_no_dots() {
        assert_eq!(name("shop.example-1"), "poolgate_cluster_shop_example-1");
    }
}
