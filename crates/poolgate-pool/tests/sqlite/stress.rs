//! All operations together.

use super::*;

/// Many tasks with random operations: queries, transactions, cancels, discards, raw statements, disposes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stress() -> Result {
    const TASKS: u64 = 200;
    const OPERATIONS: u64 = 100;
    let database = Database::new()?;
    let watch = Arc::new(Watch::default());
    let pool = database.builder(config(5, 10)).observer(watch.clone()).build()?;
    let highest = Arc::new(AtomicU32::new(0));
    let look = {
        let (pool, highest) = (pool.clone(), Arc::clone(&highest));
        move || {
            let counts = pool.counts();
            highest.fetch_max(counts.open(), Relaxed);
            assert!(counts.open() <= counts.capacity && counts.idle <= 5, "{counts:?}");
        }
    };
    let tasks = (0..TASKS).map(|task| {
        let (pool, look) = (pool.clone(), look.clone());
        tokio::spawn(async move {
            let mut random = Random(task + 1);
            let mut done = 0_u64;
            for _ in 0..OPERATIONS {
                if random.below(200) == 0 {
                    pool.dispose();
                }
                let patience = if random.below(5) == 0 { random.below(3) } else { 20_000 };
                let work = async {
                    let mut lease = pool.acquire().await?;
                    match random.below(10) {
                        0 => lease.begin().await.map(drop)?,
                        1 => lease.begin().await?.commit().await?,
                        2 => lease.execute("BEGIN").await.map(drop)?,
                        3 if random.below(10) == 0 => lease.discard(),
                        _ => assert_eq!(one(&mut lease).await?, 1),
                    }
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                };
                match timeout(u32::try_from(patience).unwrap_or(0) * MS, work).await {
                    Ok(Ok(())) => done += 1,
                    Ok(Err(error)) => panic!("{error}"),
                    Err(_gave_up) => {}
                }
                look();
            }
            done
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await?;
    }
    println!(
        "{done} of {} operations, {} connects, {} open at most",
        TASKS * OPERATIONS,
        watch.created.load(Relaxed),
        highest.load(Relaxed)
    );
    assert!(done > TASKS * OPERATIONS / 2, "only {done} operations succeeded");
    assert_eq!(pool.counts().checked_out, 0);
    assert_eq!(watch.acquired.load(Relaxed), watch.released.load(Relaxed));
    assert_eq!(watch.timed_out.load(Relaxed), 0);
    whole(&pool).await?;
    let drained = pool.drain(5000 * MS).await;
    assert_eq!(drained.connections_left, 0);
    assert_eq!(watch.created.load(Relaxed), watch.closed.load(Relaxed), "each is closed once");
    Ok(())
}

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
