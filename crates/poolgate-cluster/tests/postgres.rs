//! Replicas that meet in a real PostgreSQL.

mod common;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Result;
use poolgate_cluster::{PostgresStore, Store};
use poolgate_control::cluster::{Mode, Replica, ReplicaId};
use poolgate_test_postgres::{PgBouncer, Postgres, Proxy};

use common::{Member, PATIENCE, SETTINGS, eventually, revision, rows_and_configs_only_become_newer, with_ledger};

/// Renewals of one row.
const RENEWALS: u32 = 3000;

static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));

fn start(url: &str, id: u32) -> Member {
    Member::start(PostgresStore::new(url.parse().expect("a URL"), "shop", ReplicaId(id)), id, SETTINGS)
}

async fn database(name: &'static str) -> String {
    tokio::task::spawn_blocking(move || POSTGRES.create_database(name)).await.expect("joined").expect("a database")
}

async fn sql(database: &'static str, statements: &'static str) -> String {
    tokio::task::spawn_blocking(move || POSTGRES.sql(database, statements)).await.expect("joined").expect("answered")
}

#[tokio::test]
async fn two_replicas_divide_the_budget_and_who_leaves_gives_its_share_back() -> Result<()> {
    let url = database("division").await;
    let one = start(&url, 1);
    // 40 without the three that may still come.
    eventually("alone", || one.has() == 37).await;
    let two = start(&url, 2);
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    let situation = two.membership.situation();
    assert_eq!(situation.view.mode, Mode::Shared);
    let members: Vec<_> = situation.members.iter().map(|member| (member.row.id.0, member.grant)).collect();
    assert_eq!(members, [(1, Some(19)), (2, Some(19))]);

    two.share.hold(0);
    two.membership.leave().await;
    let begun = Instant::now();
    // This pool never gives anything back, so its connections count until the database shows none.
    eventually("alone again", || one.has() == 37).await;
    assert!(begun.elapsed() < 4 * SETTINGS.ttl, "{:?}", begun.elapsed());
    one.membership.leave().await;
    Ok(())
}

#[tokio::test]
async fn an_emptied_table_and_a_lost_connection_make_the_share_static_and_never_larger() -> Result<()> {
    let url = database("emptied").await;
    let proxy = Proxy::to(POSTGRES.port()).await?;
    let one = start(&url, 1);
    let two = start(&proxy.url("emptied"), 2);
    eventually("shared", || one.has() == 19 && two.has() == 19).await;

    sql("emptied", "TRUNCATE poolgate_cluster").await;
    eventually("static", || one.has() == 10 && two.has() == 10).await;
    eventually("shared again", || one.has() == 19 && two.has() == 19).await;

    proxy.silence();
    // The database shows its connection until the server learns that it is cut off.
    eventually("cut off", || two.has() == 1).await;
    assert_eq!(one.has(), 19, "the claim of the other one is kept");
    assert!(two.membership.situation().trouble.is_some());
    proxy.restore();
    eventually("healed", || two.has() == 19).await;
    Ok(())
}

#[tokio::test]
async fn a_dropped_table_is_made_again() -> Result<()> {
    let url = database("dropped").await;
    let one = start(&url, 1);
    eventually("alone", || one.has() == 37).await;
    sql("dropped", "DROP TABLE poolgate_cluster").await;
    eventually("static", || one.has() == 10).await;
    eventually("alone again", || one.has() == 37).await;
    Ok(())
}

#[tokio::test]
async fn only_one_of_two_ledgers_with_one_revision_is_written() -> Result<()> {
    let url = database("revisions").await;
    let mut stores = [1, 2].map(|id| PostgresStore::new(url.parse().expect("a URL"), "shop", ReplicaId(id)));
    let mut replicas = [1, 2].map(|id| Replica::new(ReplicaId(id), SETTINGS, Duration::ZERO));
    let mut write = |replica: usize, revision, is_first| with_ledger(&mut replicas[replica], revision, is_first);

    assert_eq!(revision(&stores[0].exchange(&write(0, 5, true)).await?), None);
    stores[1].exchange(&write(1, 9, true)).await?;
    assert_eq!(revision(&stores[1].exchange(&write(1, 7, false)).await?), Some(5), "the first one stays");
    let (first, second) = (write(0, 6, false), write(1, 6, false));
    let [one, two] = &mut stores;
    let (first, second) = tokio::join!(one.exchange(&first), two.exchange(&second));
    assert!(revision(&first?) <= Some(6) && revision(&second?) <= Some(6));
    let written = sql("revisions", "SELECT seq FROM poolgate_cluster WHERE key = 'ledger'").await;
    assert_eq!(written, "6");
    Ok(())
}

#[tokio::test]
async fn rows_and_configs_only_become_newer_and_the_census_counts_by_name() -> Result<()> {
    let url = database("newer").await;
    let mut store = PostgresStore::new(url.parse()?, "shop", ReplicaId(0xabc));
    let mut replica = Replica::new(ReplicaId(0xabc), SETTINGS, Duration::ZERO);
    rows_and_configs_only_become_newer(&mut store, &mut replica).await?;
    store.close().await;
    Ok(())
}

/// What renewals leave behind: fifty minutes of one replica, as fast as they go. The size does not depend on the number.
#[tokio::test]
async fn renewals_stay_on_their_page() -> Result<()> {
    let url = database("renewals").await;
    let mut store = PostgresStore::new(url.parse()?, "shop", ReplicaId(1));
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    for _ in 0..RENEWALS {
        store.exchange(&replica.begin(Duration::ZERO)).await?;
    }
    store.close().await;
    // The statistics are sent when the session ends.
    let mut figures = String::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        figures = sql(
            "renewals",
            "SELECT n_tup_upd, n_tup_hot_upd * 100 / greatest(n_tup_upd, 1),
                    pg_relation_size('poolgate_cluster') / 8192, pg_indexes_size('poolgate_cluster') / 8192
             FROM pg_stat_user_tables WHERE relname = 'poolgate_cluster'",
        )
        .await;
        if figures.starts_with(&format!("{}|", RENEWALS - 1)) {
            break;
        }
    }
    let numbers: Vec<u32> = figures.split('|').map(|number| number.parse().expect("a number")).collect();
    let [updates, hot_percent, pages, index_pages] = numbers[..] else { panic!("{figures}") };
    assert_eq!(updates, RENEWALS - 1);
    assert!(hot_percent > 95 && pages < 10 && index_pages < 10, "{figures}");
    println!("hot {hot_percent} %, {pages} pages, index {index_pages} pages after {RENEWALS} renewals");
    Ok(())
}

#[tokio::test]
async fn it_works_through_a_pooler_in_transaction_mode() -> Result<()> {
    database("pooled").await;
    let pooler = tokio::task::spawn_blocking(|| PgBouncer::start(&POSTGRES, "pooled", &["pool_mode=transaction"]))
        .await
        .expect("joined")?;
    let mut store = PostgresStore::new(pooler.url("app", "pooled").parse()?, "shop", ReplicaId(1));
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    let first = replica.begin(Duration::ZERO);
    for _ in 0..20 {
        store.exchange(&first).await?;
    }
    assert_eq!(store.exchange(&first).await?.rows, [first.row]);
    Ok(())
}
