//! The store in NATS JetStream: a key-value bucket for each cluster.
//!
//! Each key holds one document: `row.ID`, `ledger`, `config`. Every write names the revision that it replaces, so what
//! arrives late replaces nothing newer. Reads go to the leader of the bucket's stream, after all writes were confirmed.
//! Only the server's own times are compared.

mod bucket;
mod link;

use std::fmt;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use poolgate_control::cluster::{Census, Exchange, ReplicaId, Seen};
use sqlx::postgres::PgConnectOptions;

use self::link::Link;
use crate::{
    database::Database,
    store::{Store, StoreError},
};

/// The cluster's rows in a bucket of NATS JetStream, and a connection to it; and one to the database, which is asked for its
/// connections, if the replicas have any.
pub struct NatsStore {
    servers: Servers,
    name: String,
    bucket: String,
    link: Option<Link>,
    database: Option<Database>,
}

/// Addresses without what must not be shown, and the one account for all of them.
struct Servers {
    addresses: Vec<ServerAddr>,
    account: Option<Account>,
}

#[derive(PartialEq, Eq)]
enum Account {
    User { name: String, password: String },
    Token(String),
}

/// A text that does not say where NATS servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the addresses of NATS servers, all for the same user: nats://user:password@host:4222,nats://other:4222")]
pub struct InvalidServers;

impl NatsStore {
    /// A store in these servers, separated by commas: `nats://user:password@host:4222`, or `tls://…`. One of them may name
    /// the user, or all of them the same one. Connects with the first exchange.
    ///
    /// `options` lead to the database; `None` for replicas without pools, which share no connections. `prefix` is the first part of the `application_name` of all connections of all
    /// replicas, pools included; the second part, after a colon, is the replica's id. Letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// The servers cannot be read.
    pub fn new(
        servers: &str,
        options: Option<PgConnectOptions>,
        prefix: &str,
        id: ReplicaId,
    ) -> Result<Self, InvalidServers> {
        Ok(Self {
            servers: Servers::parse(servers)?,
            name: format!("{prefix}:{id}"),
            bucket: bucket::name(prefix),
            link: None,
            database: options.map(|options| Database::new(options, prefix, id)),
        })
    }
}

impl Store for NatsStore {
    const IN_DATABASE: bool = false;

    async fn exchange(&mut self, write: &Exchange) -> Result<Seen, StoreError> {
        // If the exchange fails or is given up, the connection ends, and with it what it has not sent.
        let mut link = match self.link.take().filter(Link::is_connected) {
            Some(link) => link,
            None => Link::open(&self.servers, &self.name, &self.bucket).await?,
        };
        let seen = link.exchange(write).await?;
        self.link = Some(link);
        Ok(seen)
    }

    async fn census(&mut self) -> Result<Census, StoreError> {
        match &mut self.database {
            Some(database) => database.census().await,
            None => Ok(Census::default()),
        }
    }

    async fn close(&mut self) {
        self.link = None;
        if let Some(database) = &mut self.database {
            database.close().await;
        }
    }
}

impl Servers {
    fn parse(text: &str) -> Result<Self, InvalidServers> {
        let mut servers = Self { addresses: Vec::new(), account: None };
        for part in text.split(',') {
            let mut url = part.trim().parse::<ServerAddr>().map_err(|_| InvalidServers)?.into_inner();
            // A text without a scheme was read as a host.
            let has_scheme = part.trim().starts_with(&format!("{}://", url.scheme()));
            let is_plain =
                has_scheme && ["nats", "tls"].contains(&url.scheme()) && url.has_host() && url.path().len() <= 1;
            let decoded =
                |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| InvalidServers);
            let account = match (url.username(), url.password()) {
                ("", None) => None,
                (token, None) => Some(Account::Token(decoded(token)?)),
                (name, Some(password)) => Some(Account::User { name: decoded(name)?, password: decoded(password)? }),
            };
            let is_other = account.is_some() && servers.account.is_some() && account != servers.account;
            if !is_plain || is_other {
                return Err(InvalidServers);
            }
            servers.account = account.or(servers.account);
            // The library logs addresses.
            url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| InvalidServers)?;
            servers.addresses.push(ServerAddr::from_url(url).map_err(|_| InvalidServers)?);
        }
        Ok(servers)
    }
}

impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStore").field("name", &self.name).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_is_for_all_servers_and_is_in_no_address() {
        let servers = Servers::parse("nats://app:hunt%2Cer@one:4222, tls://two").expect("servers");
        let shown = format!("{:?}", servers.addresses);
        assert!(!shown.contains("app") && !shown.contains("hunt"), "{shown}");
        let addresses: Vec<_> = servers.addresses.iter().map(|at| (at.host(), at.port(), at.tls_required())).collect();
        assert_eq!(addresses, [("one", 4222, false), ("two", 4222, true)]);
        let user = Account::User { name: "app".to_owned(), password: "hunt,er".to_owned() };
        assert!(servers.account == Some(user));
        let token = Servers::parse("nats://secret@one").expect("a server").account;
        assert!(token == Some(Account::Token("secret".to_owned())));
    }

    #[test]
    fn what_is_no_list_of_servers_of_one_user_is_refused() {
        for wrong in
            ["", "postgres", "http://one", "nats://", "nats://one,", "nats://one/x", "nats://a@one,nats://b@two"]
        {
            assert!(Servers::parse(wrong).is_err(), "{wrong}");
        }
    }
}
