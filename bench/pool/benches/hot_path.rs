//! Instructions that acquire + release of a hot connection of our pool takes: `cargo xtask bench instructions`.
//!
//! Callgrind counts them, so the figure is the same on a busy machine, and the run fails when it has grown.

#![expect(missing_docs, reason = "the macros write public items without documentation")]

use std::hint::black_box;
use std::time::Duration;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use poolgate_pool::{Pool, PoolConfig, sqlite_options};
use sqlx::Sqlite;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

const TURNS: u64 = 100;
/// Instructions of a turn, when it was last looked at on purpose.
const OF_ONE: u64 = 1_436;

struct Hot {
    pool: Pool<Sqlite>,
    runtime: Runtime,
    _folder: TempDir,
}

fn hot() -> Hot {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = PoolConfig { pre_ping_idle: Duration::from_secs(3600), ..PoolConfig::default() };
    let options = sqlite_options(folder.path().join("hot.db"));
    let pool = Pool::builder(options).config(limits).build().expect("a pool");
    let hot = Hot { pool, runtime, _folder: folder };
    take_turns(&hot);
    hot
}

fn take_turns(hot: &Hot) {
    hot.runtime.block_on(async {
        for _ in 0..TURNS {
            drop(black_box(hot.pool.acquire().await.expect("a connection")));
        }
    });
}

// Gives what it was given back: its end is not counted.
#[library_benchmark(setup = hot)]
fn a_hundred_turns(hot: Hot) -> Hot {
    take_turns(&hot);
    hot
}

library_benchmark_group!(name = hot_path, benchmarks = [a_hundred_turns]);
main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().hard_limits([(EventKind::Ir, TURNS * (OF_ONE + OF_ONE / 20))])),
    library_benchmark_groups = hot_path
);
