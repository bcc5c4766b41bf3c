//! Writes lines to stdout in a thread of its own: a reader that stalls must not stop requests.

use std::{
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time};

/// Lines that wait for the reader; further ones are dropped, and the log says how many.
const MOST_WAITING: usize = 16_384;

/// Takes lines. The thread ends when this is dropped.
pub(super) struct Writer {
    orders: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

enum Order {
    Write(String),
    /// Answers when all before is written.
    Flush(oneshot::Sender<()>),
}

impl Writer {
    pub(super) fn start() -> Self {
        let (orders, to_do) = mpsc::sync_channel(MOST_WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        let spawned = thread::Builder::new().name("access log".to_owned()).spawn(move || write(&to_do, &counted));
        if let Err(error) = spawned {
            tracing::error!(%error, "The access log cannot be written");
        }
        Self { orders, dropped }
    }

    /// Writes a line as soon as the reader takes it.
    pub(super) fn write(&self, line: String) {
        if self.orders.try_send(Order::Write(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until the lines so far are written, but not for longer than this.
    pub(super) async fn flush(&self, patience: Duration) {
        let (done, written) = oneshot::channel();
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = time::timeout(patience, written).await;
        }
    }
}

fn write(orders: &Receiver<Order>, dropped: &AtomicU64) {
    let mut stdout = BufWriter::new(io::stdout());
    let mut can_write = true;
    let mut waiting = Vec::new();
    while let Ok(first) = orders.recv() {
        let mut written = Ok(());
        for order in std::iter::once(first).chain(orders.try_iter().take(MOST_WAITING)) {
            match order {
                // Nothing is written after a failure: half a line would spoil the next one.
                Order::Write(line) if can_write && written.is_ok() => written = writeln!(stdout, "{line}"),
                Order::Write(_) => {}
                Order::Flush(done) => waiting.push(done),
            }
        }
        written = written.and_then(|()| if can_write { stdout.flush() } else { Ok(()) });
        if let Err(error) = written {
            can_write = false;
            tracing::error!(%error, "The access log ends: stdout cannot be written");
        }
        for done in waiting.drain(..) {
            // Its patience may be over.
            let _ = done.send(());
        }
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "Lines of the access log were dropped: the reader of stdout is too slow");
        }
    }
}
