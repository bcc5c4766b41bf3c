//! Reads PgBouncer's console. Columns differ between versions, so each is read by its name.

use std::{collections::HashMap, time::Duration};

use sqlx::{Executor, PgConnection, postgres::PgRow, raw_sql};

use super::capacity::{DatabaseLimits, Limits, Room, UserLimits};
use crate::watched::{
    reader::{number, text},
    record::Trouble,
};

/// The console's own database.
const CONSOLE: &str = "pgbouncer";

/// The watched pools at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Server connections that the watched pools may open: without the reserve, and with it (`capacity`).
    pub(super) pool_size: u32,
    pub(super) capacity: u32,
    /// Server connections used by clients.
    pub(super) in_use: u32,
    /// Other server connections that are not free: being cancelled or tested.
    pub(super) busy: u32,
    pub(super) idle: u32,
    pub(super) connecting: u32,
    /// Clients that wait for a server connection, and the wait time of the first.
    pub(super) waiting: u32,
    pub(super) oldest_wait: Duration,
    /// Transactions (in statement mode, queries) since PgBouncer's start. It counts them when they arrive, before they
    /// wait.
    pub(super) arrived: u64,
    pub(super) session_mode: bool,
    /// Every watched database is paused, by name or together with all others: clients wait.
    pub(super) paused: bool,
    /// A watched database accepts no new clients.
    pub(super) disabled: bool,
    /// All databases of this PgBouncer.
    pub(super) databases: Vec<String>,
}

/// Reads the limits of the users. PgBouncer before 1.24 does not show them.
pub(super) async fn read_users(connection: &mut PgConnection) -> sqlx::Result<HashMap<String, UserLimits>> {
    let rows = show(connection, "SHOW USERS").await?;
    let limited = rows.iter().filter_map(|row| Some((text(row, "name")?, user_limits(row))));
    Ok(limited.filter(|(_, limits)| *limits != UserLimits::default()).collect())
}

/// Reads the pools of `database`, or all of them. `users` are the limits of the users.
pub(super) async fn read(
    connection: &mut PgConnection,
    database: Option<&str>,
    users: HashMap<String, UserLimits>,
) -> Result<Reading, Trouble> {
    let pools = show(connection, "SHOW POOLS").await?;
    let totals = show(connection, "SHOW STATS_TOTALS").await?;
    let databases = show(connection, "SHOW DATABASES").await?;
    let is_watched =
        |name: &Option<String>| name.as_deref().is_some_and(|name| database.map_or(name != CONSOLE, |it| it == name));
    let mut reading = Reading::default();
    let mut statements = false;
    let mut in_use = Vec::new();
    for pool in pools.iter().filter(|row| is_watched(&text(row, "database"))) {
        let servers = Servers::of(pool)?;
        let mode = text(pool, "pool_mode").unwrap_or_default();
        // An unused pool stays listed for a while.
        if servers.open() == 0 && servers.clients == 0 {
            continue;
        }
        reading.in_use += servers.in_use;
        reading.busy += servers.busy;
        reading.idle += servers.idle;
        reading.connecting += servers.connecting;
        reading.waiting += servers.waiting;
        reading.oldest_wait = reading.oldest_wait.max(servers.oldest_wait);
        reading.session_mode |= mode == "session";
        statements |= mode == "statement";
        in_use.extend(text(pool, "database").map(|database| (database, text(pool, "user"))));
    }
    let watched = || databases.iter().filter(|row| is_watched(&text(row, "name")));
    let limits = watched().filter_map(|row| Some((text(row, "name")?, database_limits(row))));
    let limits = Limits { databases: limits.collect(), users };
    if in_use.is_empty() {
        // Before the first client: as if one user had connected to each database.
        in_use.extend(limits.databases.keys().map(|database| (database.clone(), None)));
    }
    Room { pool_size: reading.pool_size, capacity: reading.capacity } = limits.room(&in_use);
    let is_set = |row: &PgRow, column| number(row, &[column]) == Some(1);
    reading.disabled = watched().any(|row| is_set(row, "disabled"));
    reading.paused = watched().next().is_some() && watched().all(|row| is_set(row, "paused"));
    if !reading.paused && reading.is_stuck() {
        reading.paused = is_paused_as_a_whole(connection).await?;
    }
    let columns: &[&str] =
        if statements { &["query_count", "total_query_count"] } else { &["xact_count", "total_xact_count"] };
    for row in totals.iter().filter(|row| is_watched(&text(row, "database"))) {
        reading.arrived += number(row, columns).ok_or_else(|| missing("SHOW STATS_TOTALS", "xact_count"))?;
    }
    reading.databases = databases.iter().filter_map(|row| text(row, "name")).filter(|name| name != CONSOLE).collect();
    Ok(reading)
}

impl Reading {
    /// Clients wait although no connection to the database is in use.
    pub(super) fn is_stuck(&self) -> bool {
        self.waiting > 0 && self.in_use == 0
    }
}

/// One row of `SHOW POOLS`: the connections of one user to one database.
struct Servers {
    clients: u32,
    in_use: u32,
    busy: u32,
    idle: u32,
    connecting: u32,
    waiting: u32,
    oldest_wait: Duration,
}

impl Servers {
    fn of(row: &PgRow) -> Result<Self, Trouble> {
        let needed = |column| count(row, column).ok_or_else(|| missing("SHOW POOLS", column));
        let sum = |columns: &[&str]| columns.iter().filter_map(|column| count(row, column)).sum();
        let waiting = needed("cl_waiting")?;
        let seconds = Duration::from_secs(number(row, &["maxwait"]).unwrap_or_default());
        let micros = Duration::from_micros(number(row, &["maxwait_us"]).unwrap_or_default());
        Ok(Self {
            clients: needed("cl_active")? + waiting,
            in_use: needed("sv_active")?,
            busy: sum(&["sv_active_cancel", "sv_being_canceled", "sv_tested"]),
            idle: needed("sv_idle")? + sum(&["sv_used"]),
            connecting: sum(&["sv_login"]),
            waiting,
            oldest_wait: seconds + micros,
        })
    }

    fn open(&self) -> u32 {
        self.in_use + self.busy + self.idle + self.connecting
    }
}

/// The limits of one database in `SHOW DATABASES`.
fn database_limits(row: &PgRow) -> DatabaseLimits {
    DatabaseLimits {
        pool: count(row, "pool_size").unwrap_or_default(),
        // Renamed in 1.24.
        reserve: count(row, "reserve_pool_size").or_else(|| count(row, "reserve_pool")).unwrap_or_default(),
        most: count(row, "max_connections").filter(|most| *most > 0),
    }
}

/// The limits of one user in `SHOW USERS`; an empty size is the database's.
fn user_limits(row: &PgRow) -> UserLimits {
    UserLimits {
        pool: count(row, "pool_size"),
        reserve: count(row, "reserve_pool_size"),
        most: count(row, "max_user_connections").filter(|most| *most > 0),
    }
}

fn count(row: &PgRow, column: &str) -> Option<u32> {
    number(row, &[column]).and_then(|count| u32::try_from(count).ok())
}

fn missing(command: &str, column: &str) -> Trouble {
    Trouble::Unclear(format!("{command} has no column `{column}`: this PgBouncer is older than 1.8, or something else"))
}

/// Whether all databases were paused together, which their list does not show. Old versions (1.18) do not report it.
async fn is_paused_as_a_whole(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match show(connection, "SHOW STATE").await {
        Ok(rows) => Ok(rows.iter().any(|row| {
            let key = text(row, "key");
            let stands_still = matches!(key.as_deref(), Some("paused" | "suspended"));
            stands_still && text(row, "value").as_deref() == Some("yes")
        })),
        Err(sqlx::Error::Database(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Uses the simple protocol, the only one that the console supports.
async fn show(connection: &mut PgConnection, command: &'static str) -> sqlx::Result<Vec<PgRow>> {
    connection.fetch_all(raw_sql(command)).await
}

#[cfg(test)]
mod tests {
    use poolgate_test_postgres::Postgres;
    use sqlx::Connection;

    use super::*;

    /// Rows as other versions would send them; PostgreSQL plays the part of PgBouncer.
    #[tokio::test]
    async fn columns_are_read_by_name_in_every_version() {
        let postgres = Postgres::start().expect("PostgreSQL");
        let mut connection = PgConnection::connect(&postgres.url("postgres")).await.expect("connected");
        let mut row = async |select: &'static str| show(&mut connection, select).await.expect("a row").remove(0);

        let newer = row(
            "SELECT 1 AS load_balance_hosts, 'shop' AS database, 'transaction' AS pool_mode, 7::bigint AS cl_active, \
             3::bigint AS cl_waiting, 2::bigint AS sv_active, 1::bigint AS sv_active_cancel, 4 AS sv_idle, \
             2 AS maxwait, 500000::bigint AS maxwait_us",
        )
        .await;
        let servers = Servers::of(&newer).map_err(|trouble| trouble.to_string()).expect("understood");
        assert_eq!((servers.clients, servers.waiting, servers.in_use, servers.busy), (10, 3, 2, 1));
        assert_eq!((servers.idle, servers.connecting, servers.oldest_wait), (4, 0, Duration::from_millis(2500)));

        let limits = database_limits(
            &row("SELECT 20 AS pool_size, 5::bigint AS reserve_pool_size, 30 AS max_connections").await,
        );
        assert_eq!((limits.pool, limits.reserve, limits.most), (20, 5, Some(30)));
        let limits = database_limits(&row("SELECT 20 AS pool_size, 4 AS reserve_pool, 0 AS max_connections").await);
        assert_eq!((limits.pool, limits.reserve, limits.most), (20, 4, None), "0 is no limit");

        let limits = user_limits(
            &row("SELECT 'app' AS name, '        7' AS pool_size, '' AS reserve_pool_size, 0 AS max_user_connections")
                .await,
        );
        assert_eq!(limits, UserLimits { pool: Some(7), reserve: None, most: None }, "padded, empty, and no limit");
        let limits = user_limits(&row("SELECT 'app' AS name, NULL AS pool_mode").await);
        assert_eq!(limits, UserLimits::default(), "1.18 shows no limits");

        let strange = Servers::of(&row("SELECT 1 AS cl_active, 2 AS cl_waiting").await);
        assert!(strange.err().expect("not understood").to_string().contains("`sv_active`"));
    }
}
