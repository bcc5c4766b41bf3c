//! The stage of a lane: the program, its database, and the pooler or proxy between them, each a process of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};
use poolgate_e2e::Server;
use poolgate_test_postgres::{PgBouncer, Postgres, Proxy};
use tokio::task::block_in_place;

use crate::schedule::Through;

/// The database's name everywhere.
pub const DATABASE: &str = "shop";
/// Secrets that must not appear in a log.
pub const SECRETS: [&str; 2] = [PASSWORD, ADMIN_TOKEN];

/// The program's role and its password on PostgreSQL.
pub(crate) const ROLE: &str = "app";
pub(crate) const PASSWORD: &str = "tram-fig-9041-lamp";
const ADMIN_TOKEN: &str = "soak-token-7f3e1c-quay";

/// Enough connections for the pool's 30 and a few more, and few enough for other sessions to take all.
const MAX_CONNECTIONS: u32 = 60;

const POOLER: &[&str] = &[
    "pool_mode=transaction",
    "default_pool_size=30",
    "max_client_conn=200",
    "ignore_startup_parameters=extra_float_digits",
    // PgBouncer retries a failed login after this time. Its default of 15 s would prolong the outage.
    "server_login_retry=1",
];

/// All processes of a lane. They end when it is dropped.
#[derive(Debug)]
pub struct Stage {
    through: Through,
    folder: PathBuf,
    /// Number of times that the program was started.
    starts: u32,
    address: SocketAddr,
    process: Arc<AtomicU32>,
    server: Option<Server>,
    pub(crate) proxy: Proxy,
    pub(crate) pooler: Option<PgBouncer>,
    pub(crate) postgres: Postgres,
    /// The primary before the last failover; it keeps its sessions.
    pub(crate) retired: Option<Postgres>,
    /// The newest order of the demo's own data.
    pub(crate) last_order: i64,
}

impl Stage {
    /// Starts database, pooler, proxy and program, and waits until the program is ready. Its logs go to `folder`.
    ///
    /// # Errors
    ///
    /// A process does not start; the message says why.
    pub async fn start(through: Through, folder: &Path) -> Result<Self> {
        let postgres = block_in_place(start_postgres)?;
        let pooler = match through {
            Through::Direct => None,
            Through::Pgbouncer => Some(block_in_place(|| PgBouncer::start(&postgres, DATABASE, POOLER))?),
        };
        let port = pooler.as_ref().map_or_else(|| postgres.port(), PgBouncer::port);
        let proxy = Proxy::to(port).await?;
        let mut stage = Self {
            through,
            folder: folder.to_owned(),
            starts: 0,
            address: ([127, 0, 0, 1], 0).into(),
            process: Arc::default(),
            server: None,
            proxy,
            pooler,
            postgres,
            retired: None,
            last_order: 0,
        };
        stage.start_program()?;
        stage.server()?.ready().await?;
        let last = stage.sql("SELECT max(id) FROM orders")?;
        stage.last_order = last.parse().with_context(|| format!("the newest order: {last:?}"))?;
        Ok(stage)
    }

    /// The program's address, which stays the same after a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The program's process id; 0 while it does not run.
    #[must_use]
    pub fn process(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.process)
    }

    /// The program.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the program does not run")
    }

    /// Runs statements on the database itself as its superuser.
    ///
    /// # Errors
    ///
    /// psql's message.
    pub fn sql(&self, statements: &str) -> Result<String> {
        block_in_place(|| self.postgres.sql(DATABASE, statements))
    }

    /// Ends the program as a supervisor does, and starts it again on its port.
    ///
    /// # Errors
    ///
    /// It does not shut down cleanly, or does not start.
    pub async fn deploy(&mut self) -> Result<()> {
        let server = self.server.take().context("the program does not run")?;
        self.process.store(0, Relaxed);
        let (status, _) = block_in_place(|| server.terminate())?;
        ensure!(status.success(), "the program ended with {status}");
        self.start_program()?;
        self.server()?.ready().await
    }

    /// The logs of all incarnations.
    ///
    /// # Errors
    ///
    /// One cannot be read.
    pub fn logs(&self) -> Result<Vec<String>> {
        (1..=self.starts).map(|start| Ok(fs::read_to_string(self.log_folder(start).join("poolgate.log"))?)).collect()
    }

    fn start_program(&mut self) -> Result<()> {
        self.starts += 1;
        let folder = self.log_folder(self.starts);
        fs::create_dir_all(&folder)?;
        let proxied = self.proxy.address();
        let url = format!("postgres://{ROLE}:{PASSWORD}@{proxied}/{DATABASE}");
        let mut program = Server::builder()
            .demo()
            .folder(&folder)
            .environment("DATABASE_URL", &url)
            .environment("POOLGATE_SERVER__ADMIN_TOKEN", ADMIN_TOKEN);
        if self.through == Through::Pgbouncer {
            program = program.environment("POOLGATE_DATABASE__PGBOUNCER", "true");
        }
        if self.address.port() != 0 {
            program = program.port(self.address.port());
        }
        let server = block_in_place(|| program.start())?;
        self.address = server.address();
        self.process.store(server.process_id(), Relaxed);
        self.server = Some(server);
        Ok(())
    }

    fn log_folder(&self, start: u32) -> PathBuf {
        self.folder.join(format!("program-{start}"))
    }
}

/// A server with the program's role, which must log in with its password. Acknowledged commits survive a kill. Statements
/// of the superuser, who is PgBouncer's user and causes the faults, have deadlines on the server: otherwise a transaction
/// behind PgBouncer whose client was cut off would keep its locks for ever.
fn start_postgres() -> Result<Postgres> {
    let postgres = Postgres::start_with_max_connections(MAX_CONNECTIONS)?;
    postgres.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))?;
    postgres.sql(
        "postgres",
        "ALTER ROLE postgres SET statement_timeout = '30s';
         ALTER ROLE postgres SET idle_in_transaction_session_timeout = '10s'",
    )?;
    postgres.create_database(DATABASE)?;
    postgres.sql(
        "postgres",
        &format!("ALTER DATABASE {DATABASE} OWNER TO {ROLE}; ALTER DATABASE {DATABASE} SET synchronous_commit = on"),
    )?;
    let rules = postgres.sql("postgres", "SHOW hba_file")?;
    let others = fs::read_to_string(&rules).with_context(|| rules.clone())?;
    fs::write(&rules, format!("host {DATABASE} {ROLE} 127.0.0.1/32 scram-sha-256\n{others}"))?;
    postgres.sql("postgres", "SELECT pg_reload_conf()")?;
    Ok(postgres)
}
