//! Spans on their way to the collector. A task of its own sends them; requests only put them here.

use std::{
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

/// Spans that wait; further ones are dropped, and the log says how many.
const MOST_WAITING: usize = 2_048;
/// Spans in one message.
const MOST_IN_BATCH: usize = 512;
/// How long a span waits for others before it is sent.
const DELAY: Duration = Duration::from_secs(1);

/// Takes spans. The task ends when all clones are dropped.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    orders: mpsc::Sender<Order>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    Send(Box<SpanData>),
    /// Answers when all before has been sent.
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// Sends with this exporter from now on.
    pub(super) fn start(exporter: impl SpanExporter + 'static) -> Self {
        let (orders, to_do) = mpsc::channel(MOST_WAITING);
        let dropped = Arc::<AtomicU64>::default();
        tokio::spawn(run(to_do, exporter, Arc::clone(&dropped)));
        Self { orders, dropped }
    }

    /// Waits until the spans so far are sent, but not for longer than this.
    pub(super) async fn flush(&self, patience: Duration) {
        let (done, sent) = oneshot::channel();
        let flushed = async {
            if self.orders.send(Order::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        let _ = time::timeout(patience, flushed).await;
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.orders.try_send(Order::Send(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// [`Queue::flush`] waits without blocking a thread.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

async fn run(mut orders: mpsc::Receiver<Order>, exporter: impl SpanExporter, dropped: Arc<AtomicU64>) {
    let mut delivery = Delivery::default();
    while let Some(first) = orders.recv().await {
        let (batch, flushed) = gather(first, &mut orders).await;
        let spans = batch.len() as u64;
        if spans > 0 {
            let result = exporter.export(batch).await;
            let outcome = result.map_err(|error| (error.to_string(), spans));
            if let Some(change) = delivery.after(outcome, dropped.swap(0, Relaxed)) {
                change.log();
            }
        }
        if let Some(done) = flushed {
            // Its patience may be over.
            let _ = done.send(());
        }
    }
}

/// The spans of one message, and who waits for them.
async fn gather(first: Order, orders: &mut mpsc::Receiver<Order>) -> (Vec<SpanData>, Option<oneshot::Sender<()>>) {
    let mut batch = Vec::new();
    let mut deadline = pin!(time::sleep(DELAY));
    let mut next = Some(first);
    while let Some(order) = next.take() {
        match order {
            Order::Send(span) => batch.push(*span),
            Order::Flush(done) => return (batch, Some(done)),
        }
        if batch.len() < MOST_IN_BATCH {
            next = tokio::select! {
                biased;
                order = orders.recv() => order,
                () = &mut deadline => None,
            };
        }
    }
    (batch, None)
}

/// How the collector keeps up, so that the log says each change once.
#[derive(Debug, Default)]
struct Delivery {
    standing: Standing,
    /// Spans lost since it stopped keeping up.
    lost: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    KeepsUp,
    TooSlow,
    Failing,
}

/// What the log tells.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Fails(String),
    IsTooSlow,
    KeepsUpAgain { lost: u64 },
}

impl Delivery {
    /// A message was taken or is lost, with an error and its number of spans. Meanwhile `dropped` spans found no place in
    /// the queue.
    fn after(&mut self, sent: Result<(), (String, u64)>, dropped: u64) -> Option<Change> {
        let (standing, change) = match sent {
            Err((error, spans)) => {
                self.lost += spans;
                (Standing::Failing, Change::Fails(error))
            }
            Ok(()) if dropped > 0 => (Standing::TooSlow, Change::IsTooSlow),
            Ok(()) => (Standing::KeepsUp, Change::KeepsUpAgain { lost: mem::take(&mut self.lost) }),
        };
        self.lost += dropped;
        let before = mem::replace(&mut self.standing, standing);
        (before != standing).then_some(change)
    }
}

impl Change {
    fn log(&self) {
        match self {
            Self::Fails(error) => tracing::warn!("The collector takes no traces, and they are lost: {error}"),
            Self::IsTooSlow => tracing::warn!("The collector is too slow: traces are lost"),
            Self::KeepsUpAgain { lost } => tracing::info!(lost, "The collector takes all traces again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_with_what_was_lost() {
        let mut delivery = Delivery::default();
        let failed = |spans| Err(("down".to_owned(), spans));
        assert_eq!(delivery.after(Ok(()), 0), None);
        assert_eq!(delivery.after(failed(3), 0), Some(Change::Fails("down".to_owned())));
        assert_eq!(delivery.after(failed(512), 40), None);
        assert_eq!(delivery.after(Ok(()), 5), Some(Change::IsTooSlow));
        assert_eq!(delivery.after(Ok(()), 1), None);
        assert_eq!(delivery.after(Ok(()), 0), Some(Change::KeepsUpAgain { lost: 3 + 512 + 40 + 5 + 1 }));
        assert_eq!(delivery.after(Ok(()), 0), None);
    }
}
