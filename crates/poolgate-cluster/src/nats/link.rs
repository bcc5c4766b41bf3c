//! One connection to NATS, and what was last read over it.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    Client, ConnectOptions, ServerAddr,
    connection::State,
    jetstream::{
        self, Context, ErrorCode,
        context::{CreateStreamErrorKind, PublishErrorKind},
        message::PublishMessage,
        response::Response,
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use futures_util::future::try_join_all;
use poolgate_control::cluster::{Exchange, Ledger, ReplicaId, Row, Seen};
use poolgate_types::{ConfigVersion, ThrottlingConfig};
use serde::{Deserialize, Serialize};

use super::{
    Account, Servers,
    bucket::{self, CONFIG, Contents, LEDGER},
};
use crate::store::StoreError;

/// Time limit for connecting to one of the servers. Two fit into the time limit of an exchange.
const CONNECT: Duration = Duration::from_millis(900);
/// Time limit for one answer. An exchange is usually given up before.
const ANSWER: Duration = Duration::from_secs(2);
/// A server that falls silent between two exchanges is noticed by the next one; this ends connections that none uses.
const PING: Duration = Duration::from_secs(5);
/// How many exchanges of a replica lie between two in which it deletes forgotten rows.
const BETWEEN_CLEANUPS: u64 = 60;

/// Where a client is sent that has lost its server: nothing listens on port 0.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// A connected client, and the bucket as it was last read.
pub(super) struct Link {
    client: Client,
    jetstream: Context,
    stream: Stream<()>,
    stream_name: String,
    subject: String,
    contents: Contents,
}

/// What is needed of a stream's description: its subjects.
#[derive(Deserialize)]
struct Listed {
    state: Subjects,
}

#[derive(Deserialize)]
struct Subjects {
    /// With the number of messages of each; missing if there is none.
    #[serde(default)]
    subjects: HashMap<String, u64>,
}

#[derive(Serialize)]
struct Filter<'a> {
    subjects_filter: &'a str,
}

impl Link {
    /// Connects, makes the bucket if there is none, and reads it.
    pub(super) async fn open(servers: &Servers, name: &str, bucket: &str) -> Result<Self, StoreError> {
        let client = connect(servers, name).await?;
        let jetstream = jetstream::new(client.clone());
        let stream_name = bucket::stream(bucket);
        let stream = jetstream.get_stream_no_info(&stream_name).await.map_err(unusable)?;
        let subject = bucket::subject(bucket);
        let mut link = Self { client, jetstream, stream, stream_name, subject, contents: Contents::default() };
        if !link.read().await? {
            link.create(bucket).await?;
        }
        Ok(link)
    }

    /// Whether the client has its server. It would keep what is sent without one, and send it late.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Writes, and then reads.
    pub(super) async fn exchange(&mut self, write: &Exchange) -> Result<Seen, StoreError> {
        let id = write.row.id;
        self.put_row(&write.row).await?;
        if let Some(ledger) = &write.ledger {
            self.put_ledger(ledger, write.is_first).await?;
        }
        if let Some(config) = &write.config {
            self.put_config(config, write.replaces).await?;
        }
        if !self.read().await? {
            return Err(StoreError::Unusable("the bucket is gone".into()));
        }
        if write.row.seq % BETWEEN_CLEANUPS == 1 {
            self.forget(id).await;
        }
        Ok(self.contents.seen(id)?)
    }

    async fn put_row(&self, row: &Row) -> Result<(), StoreError> {
        let key = bucket::row(row.id);
        let present: Option<Row> = self.contents.get(&key)?;
        if present.is_some_and(|present| present.seq >= row.seq) {
            return Ok(());
        }
        match self.put(&key, row).await? {
            true => Ok(()),
            // Over an earlier connection, or the bucket was emptied: the next connection begins with reading it.
            false => Err(StoreError::Unusable("this replica's row is not as it was left".into())),
        }
    }

    /// Writes the ledger if its predecessor is still there. Losing the race is no error: what won is read.
    async fn put_ledger(&self, ledger: &Ledger, is_first: bool) -> Result<(), StoreError> {
        let present: Option<Ledger> = self.contents.get(LEDGER)?;
        let follows = match present {
            Some(present) => !is_first && present.revision + 1 == ledger.revision,
            None => is_first,
        };
        if follows {
            self.put(LEDGER, ledger).await?;
        }
        Ok(())
    }

    /// Writes the config if the present one is still the one that it replaces. Losing the race is no error here either.
    async fn put_config(&self, config: &ThrottlingConfig, replaces: Option<ConfigVersion>) -> Result<(), StoreError> {
        let present: Option<ThrottlingConfig> = self.contents.get(CONFIG)?;
        if present.map(|present| present.at()) == replaces {
            self.put(CONFIG, config).await?;
        }
        Ok(())
    }

    /// Writes a key unless it was written since it was last read. Returns whether it was written.
    async fn put(&self, key: &str, document: &impl Serialize) -> Result<bool, StoreError> {
        let message = PublishMessage::build()
            .payload(serde_json::to_vec(document)?.into())
            .expected_last_subject_sequence(self.contents.revision(key));
        let sent = self.jetstream.send_publish(format!("{}{key}", self.subject), message).await;
        match sent.map_err(unusable)?.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Reads all keys. Returns whether there is a bucket.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let filter = format!("{}>", self.subject);
        let request = format!("STREAM.INFO.{}", self.stream_name);
        let answer = self.jetstream.request(request, &Filter { subjects_filter: &filter }).await.map_err(unusable)?;
        let subjects = match answer {
            Response::Ok(Listed { state }) => state.subjects,
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => return Ok(false),
            Response::Err { error } => return Err(unusable(error)),
        };
        let entries = try_join_all(subjects.keys().map(|subject| self.get(subject))).await?;
        self.contents = Contents(entries.into_iter().flatten().collect());
        Ok(true)
    }

    /// Reads one key from the leader. `None` if it was deleted meanwhile, or is not one of the bucket's.
    async fn get(&self, subject: &str) -> Result<Option<(String, bucket::Entry)>, StoreError> {
        let Some(key) = subject.strip_prefix(&self.subject) else { return Ok(None) };
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some((key.to_owned(), message.into()))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Makes the bucket. One that another replica has made meanwhile is as good.
    async fn create(&self, bucket: &str) -> Result<(), StoreError> {
        match self.jetstream.create_stream(bucket::config(bucket)).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                    Ok(())
                }
                _ => Err(unusable(error)),
            },
        }
    }

    async fn forget(&self, own: ReplicaId) {
        for (key, revision) in self.contents.forgotten(own) {
            if let Err(error) = self.delete(key, revision).await {
                tracing::debug!(%error, key, "A forgotten row was not deleted");
            }
        }
    }

    /// Deletes what a key held when it was read, and nothing that was written since.
    async fn delete(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        let purge = self.stream.purge().filter(format!("{}{key}", self.subject)).sequence(revision + 1);
        purge.await.map(drop).map_err(unusable)
    }
}

async fn connect(servers: &Servers, name: &str) -> Result<Client, StoreError> {
    let options = ConnectOptions::new()
        .name(name)
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING)
        .ignore_discovered_servers()
        .reconnect_delay_callback(|_| Duration::ZERO)
        // Each server is tried once; 0 would be for ever.
        .max_reconnects(servers.addresses.len().max(1));
    let options = match &servers.account {
        Some(Account::User { name, password }) => options.user_and_password(name.clone(), password.clone()),
        Some(Account::Token(token)) => options.token(token.clone()),
        None => options,
    };
    let client = options.connect(&servers.addresses[..]).await.map_err(unusable)?;
    // The library would connect anew and then send what was queued, long after its exchange was given up.
    let nowhere: ServerAddr = NOWHERE.parse().map_err(unusable)?;
    client.set_server_pool(nowhere).await.map_err(unusable)?;
    Ok(client)
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unusable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use poolgate_test_postgres::NatsServer;

    use super::*;

    #[tokio::test]
    async fn a_row_is_deleted_only_as_it_was_read() {
        let server = NatsServer::start().expect("nats-server");
        let servers = Servers::parse(&server.url()).expect("a server");
        let mut link = Link::open(&servers, "shop:1", &bucket::name("shop")).await.expect("connected");
        for key in ["row.1", "row.2"] {
            assert!(link.put(key, &1).await.expect("answered"));
        }
        assert!(link.read().await.expect("answered"));
        let read = link.contents.revision("row.1");
        assert!(link.put("row.1", &2).await.expect("answered"), "its owner is back");
        link.delete("row.1", read).await.expect("answered");
        link.read().await.expect("answered");
        assert_eq!(link.contents.get("row.1").expect("a number"), Some(2));
        link.delete("row.1", link.contents.revision("row.1")).await.expect("answered");
        link.read().await.expect("answered");
        assert_eq!(link.contents.0.keys().collect::<Vec<_>>(), ["row.2"]);
    }

    #[tokio::test]
    async fn a_client_that_loses_its_server_does_not_come_back() {
        let mut server = NatsServer::start().expect("nats-server");
        let servers = Servers::parse(&server.url()).expect("a server");
        let link = Link::open(&servers, "shop:1", &bucket::name("shop")).await.expect("connected");
        server.kill().expect("killed");
        server.start_again().expect("started");
        tokio::time::sleep(ANSWER).await;
        assert!(!link.is_connected());
        let sent = tokio::time::timeout(ANSWER, link.put("row.1", &1)).await;
        assert!(sent.is_ok_and(|sent| sent.is_err()), "it is refused, and not queued");
    }
}
