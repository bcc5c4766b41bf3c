//! Replicas that meet in a real nats-server, in front of a real PostgreSQL.

mod common;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_nats::{
    Client, HeaderMap,
    jetstream::{self, stream::Stream},
};
use futures_util::StreamExt;
use poolgate_cluster::{NatsStore, Store};
use poolgate_control::cluster::{Mode, Replica, ReplicaId, Row, Settings};
use poolgate_test_postgres::{NatsServer, Postgres, Proxy};
use tokio::time::{sleep, timeout};

use common::{Member, PATIENCE, SETTINGS, eventually, revision, rows_and_configs_only_become_newer, with_ledger};

/// How long a replica trusts its grant without the store.
const TRUST: Duration = Duration::from_secs(4);
/// An exchange is given up after this time, as the membership does.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// For a store that is silent: each exchange then takes two seconds longer, and the database is asked no more often.
const PATIENT: Settings = Settings { ttl: Duration::from_secs(10), ..SETTINGS };
/// How long the cost is counted.
const COUNTED: Duration = Duration::from_secs(10);

static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));

async fn server() -> NatsServer {
    tokio::task::spawn_blocking(|| NatsServer::start().expect("nats-server")).await.expect("joined")
}

/// `name` is that of the cluster: the tests share the database.
async fn store(servers: &str, name: &str, id: u32) -> NatsStore {
    let port = tokio::task::spawn_blocking(|| POSTGRES.port()).await.expect("joined");
    let options = format!("postgres://postgres@127.0.0.1:{port}/postgres").parse().expect("a URL");
    NatsStore::new(servers, Some(options), name, ReplicaId(id)).expect("servers")
}

async fn start(servers: &str, name: &str, id: u32) -> Member {
    Member::start(store(servers, name, id).await, id, SETTINGS)
}

/// The stream under a cluster's bucket, seen past the store.
async fn stream(server: &NatsServer, name: &str) -> Result<(Client, Stream)> {
    let client = async_nats::connect(server.url()).await?;
    let stream = jetstream::new(client.clone()).get_stream(format!("KV_poolgate_cluster_{name}")).await?;
    Ok((client, stream))
}

async fn delete_bucket(server: &NatsServer, name: &str) -> Result<()> {
    let client = async_nats::connect(server.url()).await?;
    jetstream::new(client).delete_stream(format!("KV_poolgate_cluster_{name}")).await?;
    Ok(())
}

/// Watches for a time that no replica has more than its part of the budget.
async fn stay(members: &[&Member], time: Duration, most: u32) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let has: Vec<u32> = members.iter().map(|member| member.has()).collect();
        assert!(has.iter().all(|has| *has <= most), "{has:?} after {:?}", begun.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn two_replicas_divide_the_budget_and_who_leaves_gives_its_share_back() -> Result<()> {
    let server = server().await;
    let one = start(&server.url(), "division", 1).await;
    // 40 without the three that may still come.
    eventually("alone", || one.has() == 37).await;
    let two = start(&server.url(), "division", 2).await;
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    let situation = two.membership.situation();
    assert_eq!(situation.view.mode, Mode::Shared);
    let members: Vec<_> = situation.members.iter().map(|member| (member.row.id.0, member.grant)).collect();
    assert_eq!(members, [(1, Some(19)), (2, Some(19))]);

    two.share.hold(0);
    two.membership.leave().await;
    // This pool never gives anything back, so its connections count until the database shows none.
    let took = eventually("alone again", || one.has() == 37).await;
    assert!(took < 4 * SETTINGS.ttl, "{took:?}");
    one.membership.leave().await;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_deleted_makes_the_share_static_and_never_larger() -> Result<()> {
    let server = server().await;
    let one = start(&server.url(), "deleted", 1).await;
    let two = start(&server.url(), "deleted", 2).await;
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    delete_bucket(&server, "deleted").await?;
    let is_static = async { eventually("static", || one.has() == 10 && two.has() == 10).await };
    let members = [&one, &two];
    let (took, ()) = tokio::join!(is_static, stay(&members, SETTINGS.ttl, 19));
    assert!(took < SETTINGS.ttl, "{took:?}");
    eventually("shared again", || one.has() == 19 && two.has() == 19).await;
    stay(&members, Duration::from_secs(1), 19).await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_the_safe_share_and_an_empty_one_is_divided_anew() -> Result<()> {
    let mut server = server().await;
    let one = start(&server.url(), "killed", 1).await;
    let two = start(&server.url(), "killed", 2).await;
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    server.kill()?;
    let lost = eventually("static", || one.has() == 10 && two.has() == 10).await;
    assert!(lost < SETTINGS.ttl, "{lost:?}");
    stay(&[&one, &two], Duration::from_secs(2), 10).await;
    assert!(one.membership.situation().trouble.is_some());
    server.start_again()?;
    let back = eventually("shared again", || one.has() == 19 && two.has() == 19).await;
    println!("at the safe share after {lost:?}, at the shares {back:?} after the restart");
    assert!(back < Duration::from_secs(10), "{back:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_stands_still_for_less_than_the_trust_moves_no_grant() -> Result<()> {
    let server = server().await;
    let one = start(&server.url(), "frozen", 1).await;
    let two = start(&server.url(), "frozen", 2).await;
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    let frozen = server.freeze()?;
    let begun = Instant::now();
    // One exchange may have begun a period before.
    while begun.elapsed() < TRUST - Duration::from_millis(1500) {
        assert_eq!((one.has(), two.has()), (19, 19), "{:?}", begun.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    drop(frozen);
    let thawed = Instant::now();
    while thawed.elapsed() < TRUST {
        assert_eq!((one.has(), two.has()), (19, 19), "{:?} after it went on", thawed.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_replica_that_is_cut_off_notices_it_and_sends_nothing_late() -> Result<()> {
    let server = server().await;
    let proxy = Proxy::to(server.port()).await?;
    let one = Member::start(store(&server.url(), "cut", 1).await, 1, PATIENT);
    let two = Member::start(store(&format!("nats://{}", proxy.address()), "cut", 2).await, 2, PATIENT);
    eventually("shared", || one.has() == 19 && two.has() == 19).await;
    let (client, _) = stream(&server, "cut").await?;
    let mut writes = client.subscribe("$KV.poolgate_cluster_cut.row.00000002").await?;
    let mut next = async || -> Result<Row> {
        let write = timeout(PATIENCE, writes.next()).await?.context("a write")?;
        Ok(serde_json::from_slice(&write.payload)?)
    };
    let mut before = next().await?.seq;

    proxy.silence();
    let noticed = eventually("noticed", || two.membership.situation().trouble.is_some()).await;
    let cut = eventually("at its safe share", || two.has() == 10).await;
    assert!(noticed + cut < PATIENT.ttl, "{noticed:?} + {cut:?}");
    assert_eq!(one.has(), 19, "the claim of the other one is kept");
    sleep(2 * GIVEN_UP).await;
    proxy.restore();
    eventually("healed", || two.has() == 19).await;
    // Every exchange has a number, so those that were begun meanwhile are missing.
    let mut after = next().await?.seq;
    while after == before + 1 {
        (before, after) = (after, next().await?.seq);
    }
    println!(
        "noticed after {noticed:?}, at its safe share after {:?}; {after} was written after {before}",
        noticed + cut
    );
    assert!(after > before + 3, "{after} after {before}");
    Ok(())
}

#[tokio::test]
async fn an_exchange_that_was_given_up_is_not_made_up_for() -> Result<()> {
    let mut server = server().await;
    let mut store = store(&server.url(), "late", 1).await;
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    store.exchange(&replica.begin(Duration::ZERO)).await?;
    let frozen = server.freeze()?;
    assert!(timeout(GIVEN_UP, store.exchange(&replica.begin(Duration::ZERO))).await.is_err(), "no answer");
    drop(frozen);
    server.kill()?;
    assert!(timeout(GIVEN_UP, store.exchange(&replica.begin(Duration::ZERO))).await?.is_err(), "no server");
    server.start_again()?;
    let client = async_nats::connect(server.url()).await?;
    let mut all = client.subscribe("$KV.>").await?;
    client.flush().await?;
    assert!(timeout(2 * GIVEN_UP, all.next()).await.is_err(), "nothing is sent");
    let seen = store.exchange(&replica.begin(Duration::ZERO)).await?;
    assert_eq!(seen.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [4]);
    Ok(())
}

#[tokio::test]
async fn what_arrives_late_replaces_nothing_newer() -> Result<()> {
    let server = server().await;
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    let mut old = store(&server.url(), "newer", 1).await;
    old.exchange(&replica.begin(Duration::ZERO)).await?;
    let late = replica.begin(Duration::ZERO);
    let mut new = store(&server.url(), "newer", 1).await;
    let newer = replica.begin(Duration::ZERO);
    new.exchange(&newer).await?;
    let refused = old.exchange(&late).await.expect_err("another connection has written").to_string();
    assert!(refused.contains("not as it was left"), "{refused}");
    assert_eq!(new.exchange(&newer).await?.rows, [newer.row]);
    old.exchange(&replica.begin(Duration::ZERO)).await?;
    Ok(())
}

#[tokio::test]
async fn only_one_of_two_ledgers_with_one_revision_is_written() -> Result<()> {
    let server = server().await;
    let mut stores = [store(&server.url(), "race", 1).await, store(&server.url(), "race", 2).await];
    let mut replicas = [1, 2].map(|id| Replica::new(ReplicaId(id), SETTINGS, Duration::ZERO));
    let mut write = |replica: usize, revision, is_first| with_ledger(&mut replicas[replica], revision, is_first);

    assert_eq!(revision(&stores[0].exchange(&write(0, 5, true)).await?), Some(5));
    assert_eq!(revision(&stores[1].exchange(&write(1, 9, true)).await?), Some(5), "the first one stays");
    assert_eq!(revision(&stores[1].exchange(&write(1, 7, false)).await?), Some(5), "not the next one");
    let (_, stream) = stream(&server, "race").await?;
    for next in 6..40 {
        let before = stream.get_info().await?.state.last_sequence;
        let (mut first, mut second) = (write(0, next, false), write(1, next, false));
        for (write, key) in [(&mut first, 1), (&mut second, 2)] {
            write.ledger.as_mut().context("a ledger")?.key = key;
        }
        let [one, two] = &mut stores;
        let (first, second) = tokio::join!(one.exchange(&first), two.exchange(&second));
        let (first, second) = (first?.ledger, second?.ledger);
        assert_eq!(first.as_ref().map(|ledger| ledger.revision), Some(next));
        assert_eq!(first, second, "both read what won");
        let writes = stream.get_info().await?.state.last_sequence - before;
        assert_eq!(writes, 3, "two rows and one ledger");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_deleted_is_written_anew() -> Result<()> {
    let server = server().await;
    let mut store = store(&server.url(), "tombstone", 1).await;
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    store.exchange(&with_ledger(&mut replica, 5, true)).await?;
    let (client, _) = stream(&server, "tombstone").await?;
    // As `nats kv del` does.
    let mut deleted = HeaderMap::new();
    deleted.insert("KV-Operation", "DEL");
    let subject = "$KV.poolgate_cluster_tombstone.ledger";
    jetstream::new(client).publish_with_headers(subject, deleted, "".into()).await?.await?;
    assert_eq!(revision(&store.exchange(&replica.begin(Duration::ZERO)).await?), None);
    assert_eq!(revision(&store.exchange(&with_ledger(&mut replica, 1, true)).await?), Some(1));
    Ok(())
}

#[tokio::test]
async fn rows_and_configs_only_become_newer_and_the_census_counts_by_name() -> Result<()> {
    let server = server().await;
    let mut store = store(&server.url(), "counted", 0xabc).await;
    let mut replica = Replica::new(ReplicaId(0xabc), SETTINGS, Duration::ZERO);
    rows_and_configs_only_become_newer(&mut store, &mut replica).await?;
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn stores_that_make_the_bucket_at_the_same_moment_share_it() -> Result<()> {
    let server = server().await;
    let mut stores = Vec::new();
    for id in 1..=8 {
        stores.push(store(&server.url(), "made.at-once", id).await);
    }
    let mut running = tokio::task::JoinSet::new();
    for (id, mut store) in (1..).zip(stores) {
        running.spawn(async move {
            let write = Replica::new(ReplicaId(id), SETTINGS, Duration::ZERO).begin(Duration::ZERO);
            store.exchange(&write).await.map(|_| store)
        });
    }
    let mut stores = Vec::new();
    while let Some(done) = running.join_next().await {
        stores.push(done??);
    }
    let mut ninth = Replica::new(ReplicaId(9), SETTINGS, Duration::ZERO);
    let seen = stores[0].exchange(&ninth.begin(Duration::ZERO)).await?;
    assert_eq!(seen.rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_there_is_used_as_it_is() -> Result<()> {
    let server = server().await;
    let config = jetstream::stream::Config {
        name: "KV_poolgate_cluster_there".to_owned(),
        subjects: vec!["$KV.poolgate_cluster_there.>".to_owned()],
        max_messages_per_subject: 5,
        allow_direct: true,
        ..Default::default()
    };
    jetstream::new(async_nats::connect(server.url()).await?).create_stream(config).await?;
    let (_, mut stream) = stream(&server, "there").await?;
    let before = stream.info().await?.config.clone();
    let mut store = store(&server.url(), "there", 1).await;
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    for _ in 0..3 {
        let write = replica.begin(Duration::ZERO);
        assert_eq!(store.exchange(&write).await?.rows, [write.row]);
    }
    assert_eq!(stream.info().await?.config, before);
    Ok(())
}

#[tokio::test]
async fn an_account_is_asked_for_and_a_server_that_is_down_is_passed_over() -> Result<()> {
    let server = tokio::task::spawn_blocking(|| NatsServer::start_for("app", "hunter,2")).await??;
    let at = format!("127.0.0.1:{}", server.port());
    let mut replica = Replica::new(ReplicaId(1), SETTINGS, Duration::ZERO);
    let mut wrong = store(&format!("nats://app:hunter@{at}"), "account", 1).await;
    let refused = wrong.exchange(&replica.begin(Duration::ZERO)).await.expect_err("a wrong password").to_string();
    assert!(refused.contains("authorization") && !refused.contains("hunter"), "{refused}");
    let down = "127.0.0.1:1";
    let mut right = store(&format!("nats://app:hunter%2C2@{down},nats://{at}"), "account", 1).await;
    for _ in 0..5 {
        right.exchange(&replica.begin(Duration::ZERO)).await?;
        right.close().await;
    }
    Ok(())
}

/// What the cluster costs the server: counted, not guessed.
#[tokio::test]
async fn three_idle_replicas_cost_few_messages() -> Result<()> {
    let server = server().await;
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(start(&server.url(), "cost", id).await);
    }
    eventually("shared", || members.iter().all(|member| member.has() == 13)).await;
    sleep(2 * SETTINGS.ttl).await;
    let figures = async || -> Result<[f64; 4]> {
        let text = server.monitor("/varz")?;
        let figures: serde_json::Value = serde_json::from_str(&text)?;
        Ok(["in_msgs", "out_msgs", "in_bytes", "out_bytes"].map(|name| figures[name].as_f64().unwrap_or_default()))
    };
    let before = figures().await?;
    sleep(COUNTED).await;
    let after = figures().await?;
    let each: Vec<f64> =
        before.iter().zip(after).map(|(before, after)| (after - before) / 3.0 / COUNTED.as_secs_f64()).collect();
    println!(
        "each replica and second: {:.1} messages in, {:.1} out, {:.0} bytes in, {:.0} out",
        each[0], each[1], each[2], each[3]
    );
    assert!(each[0] > 1.0 && each[0] < 12.0, "{each:?}");
    Ok(())
}
