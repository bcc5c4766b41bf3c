//! Does faults and undoes them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use crate::{
    schedule::{Fault, Planned},
    stage::{DATABASE, PASSWORD, ROLE, Stage},
};

/// Delay of a new connection while connects are slow.
const SLOW_CONNECT: Duration = Duration::from_millis(250);
/// The most connections that other sessions take; the server has fewer.
const MOST_TAKEN: usize = 100;
/// Deadline of an operation on the database.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest lock of a table by a transaction whose client was cut off: `database.idle_in_transaction_timeout` and a margin.
const LOCK_PATIENCE: Duration = Duration::from_secs(80);

/// Ends every session on the program's database but its own.
const END_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                            WHERE datname = 'shop' AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

impl Stage {
    /// Does the planned fault, waits for its length, and undoes it.
    ///
    /// # Errors
    ///
    /// It cannot be done or undone: the run says nothing about the program.
    pub async fn suffer(&mut self, planned: &Planned) -> Result<()> {
        let lasts = planned.lasts;
        let result = match planned.fault {
            Fault::DatabaseKilled => self.kill_database(lasts).await,
            Fault::DatabaseFrozen => self.freeze_database(lasts).await,
            Fault::SessionsEnded => self.admin(END_SESSIONS),
            Fault::ConnectsSlow => self.slow_connects(lasts).await,
            Fault::WireSilent => self.silence_wire(lasts).await,
            Fault::PasswordChanged => self.change_password(lasts).await,
            Fault::DatabaseClosed => self.close_database(lasts).await,
            Fault::ConnectionsTaken => self.take_connections(lasts).await,
            Fault::TableAltered => self.alter_table().await,
            Fault::ReadOnly => self.refuse_writes(lasts).await,
            Fault::Failover => self.fail_over().await,
            Fault::TableLocked => self.lock_table(lasts).await,
            Fault::PoolerPaused => self.pause_pooler(lasts).await,
            Fault::Deploy => self.deploy().await,
        };
        result.with_context(|| format!("the fault \"{}\"", planned.fault.name()))
    }

    async fn kill_database(&mut self, lasts: Duration) -> Result<()> {
        block_in_place(|| self.postgres.kill())?;
        sleep(lasts).await;
        block_in_place(|| self.postgres.start_again())
    }

    async fn freeze_database(&self, lasts: Duration) -> Result<()> {
        let frozen = block_in_place(|| self.postgres.freeze())?;
        sleep(lasts).await;
        block_in_place(|| drop(frozen));
        Ok(())
    }

    async fn slow_connects(&self, lasts: Duration) -> Result<()> {
        self.proxy.delay_connects(SLOW_CONNECT);
        let ended = self.admin(END_SESSIONS);
        sleep(lasts).await;
        self.proxy.delay_connects(Duration::ZERO);
        ended
    }

    async fn silence_wire(&self, lasts: Duration) -> Result<()> {
        self.proxy.silence();
        sleep(lasts).await;
        self.proxy.restore();
        Ok(())
    }

    async fn change_password(&self, lasts: Duration) -> Result<()> {
        self.admin(&format!("ALTER ROLE {ROLE} PASSWORD 'another'"))?;
        self.admin(END_SESSIONS)?;
        sleep(lasts).await;
        self.admin(&format!("ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'"))
    }

    async fn close_database(&self, lasts: Duration) -> Result<()> {
        self.admin(&format!("ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"))?;
        self.admin(END_SESSIONS)?;
        sleep(lasts).await;
        self.admin(&format!("ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"))
    }

    /// Takes all free connections, ends the program's sessions, and takes each connection that becomes free.
    async fn take_connections(&self, lasts: Duration) -> Result<()> {
        let url = self.postgres.url("postgres");
        let mut first = timeout(PATIENCE, PgConnection::connect(&url)).await??;
        let (mut taken, mut is_full) = (Vec::new(), false);
        let started = Instant::now();
        while !is_full || started.elapsed() < lasts {
            ensure!(started.elapsed() < lasts + PATIENCE, "the server is not full after {} connections", taken.len());
            match timeout(PATIENCE, PgConnection::connect(&url)).await? {
                Ok(connection) if taken.len() < MOST_TAKEN => taken.push(connection),
                Ok(_) => is_full = true,
                Err(_) if is_full => sleep(Duration::from_millis(20)).await,
                Err(_) => {
                    is_full = true;
                    timeout(PATIENCE, first.execute(END_SESSIONS)).await??;
                }
            }
        }
        for connection in taken {
            // The connection is free again in any case.
            timeout(PATIENCE, connection.close_hard()).await?.ok();
        }
        Ok(())
    }

    /// Alternates between two types, so that it can come again. While it waits for its lock, other statements do not wait long
    /// behind it, as in a good migration.
    async fn alter_table(&self) -> Result<()> {
        let of_column = "SELECT data_type FROM information_schema.columns
                         WHERE table_name = 'products' AND column_name = 'name'";
        let other = if self.sql(of_column)? == "text" { "varchar(200)" } else { "text" };
        let alter = format!("SET lock_timeout = '500ms'; ALTER TABLE products ALTER COLUMN name TYPE {other}");
        let started = Instant::now();
        while let Err(error) = self.sql(&alter) {
            if started.elapsed() > LOCK_PATIENCE {
                return Err(error);
            }
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn refuse_writes(&self, lasts: Duration) -> Result<()> {
        self.set_read_only(true)?;
        sleep(lasts).await;
        self.set_read_only(false)
    }

    /// A planned failover, which loses nothing: the primary refuses writes, the standby catches up, then it is promoted.
    async fn fail_over(&mut self) -> Result<()> {
        let standby = block_in_place(|| self.postgres.start_standby())?;
        self.set_read_only(true)?;
        self.until("writes are refused", "SHOW default_transaction_read_only", "on").await?;
        // A session may need a moment to notice.
        sleep(Duration::from_millis(200)).await;
        let now = self.sql("SELECT clock_timestamp()")?;
        let older =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}' AND xact_start < '{now}'");
        self.until("no transaction is left that may write", &older, "0").await?;
        let written = self.sql("SELECT pg_current_wal_flush_lsn()")?;
        let has_it_all = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        let started = Instant::now();
        while block_in_place(|| standby.sql("postgres", &has_it_all))? != "t" {
            ensure!(started.elapsed() < PATIENCE, "the standby lags behind");
            sleep(Duration::from_millis(20)).await;
        }
        block_in_place(|| standby.promote())?;
        self.proxy.lead_to(standby.port());
        let primary = std::mem::replace(&mut self.postgres, standby);
        // The previous one needs a while to shut down.
        block_in_place(|| drop(self.retired.replace(primary)));
        Ok(())
    }

    async fn lock_table(&self, lasts: Duration) -> Result<()> {
        let mut session = timeout(PATIENCE, PgConnection::connect(&self.postgres.url(DATABASE))).await??;
        timeout(PATIENCE, session.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")).await??;
        sleep(lasts).await;
        timeout(PATIENCE, session.execute("ROLLBACK")).await??;
        Ok(())
    }

    async fn pause_pooler(&self, lasts: Duration) -> Result<()> {
        let pooler = self.pooler.as_ref().context("there is no PgBouncer")?;
        block_in_place(|| pooler.console(&format!("PAUSE {DATABASE}")))?;
        sleep(lasts).await;
        block_in_place(|| pooler.console(&format!("RESUME {DATABASE}")))?;
        Ok(())
    }

    fn set_read_only(&self, read_only: bool) -> Result<()> {
        let value =
            if read_only { "SET default_transaction_read_only = on" } else { "RESET default_transaction_read_only" };
        self.admin(&format!("ALTER SYSTEM {value}"))?;
        self.admin("SELECT pg_reload_conf()")
    }

    async fn until(&self, what: &str, question: &str, answer: &str) -> Result<()> {
        let started = Instant::now();
        while self.sql(question)? != answer {
            ensure!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs one statement on a database of the server that the program does not use.
    fn admin(&self, statement: &str) -> Result<()> {
        block_in_place(|| self.postgres.sql("postgres", statement)).map(drop)
    }
}
