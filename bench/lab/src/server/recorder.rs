//! Counts at the door of the route, the same for every limiter.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use poolgate_server::Poolgate;
use poolgate_types::Level;
use tokio::time;

use crate::{
    cpu,
    wire::{Moment, Reading, SLOT_MS, ServerFigures, ServerSlot},
};

/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// When a request came to the route, before the limiter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival(Instant);

/// Keeps everything since the start; a run is short.
#[derive(Debug)]
pub(super) struct Recorder {
    origin: Instant,
    figures: Mutex<ServerFigures>,
}

/// Counts a request as abandoned unless it is told how it ended.
struct Ending<'a> {
    recorder: &'a Recorder,
    status: Option<StatusCode>,
}

/// The outermost layer of the route.
pub(super) async fn count(State(recorder): State<Arc<Recorder>>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Arrival(Instant::now()));
    recorder.slot(|slot| slot.arrived += 1);
    let mut ending = Ending { recorder: &recorder, status: None };
    let response = next.run(request).await;
    ending.status = Some(response.status());
    response
}

impl Recorder {
    /// A connection is in hand.
    pub(super) fn acquired(&self, arrival: Arrival) {
        let at = self.elapsed_ms();
        let wait = u32::try_from(arrival.0.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.lock().acquires.push((at, wait));
    }

    pub(super) fn figures(&self) -> ServerFigures {
        self.lock().clone()
    }

    /// Looks at the process, and at Poolgate where there is one, until the process ends.
    pub(super) async fn watch(self: Arc<Self>, poolgate: Option<Poolgate>) {
        let mut looks = time::interval(LOOK);
        loop {
            looks.tick().await;
            let level = poolgate.as_ref().map_or(Level::Normal, |poolgate| poolgate.config().throttling_level);
            let clients = poolgate.as_ref().map_or(0, |poolgate| poolgate.status().clients.live);
            let cpu_seconds = cpu::time_used().as_secs_f64();
            let reading = Reading { at_ms: self.elapsed_ms(), cpu_seconds, level, clients };
            self.lock().readings.push(reading);
        }
    }

    fn slot(&self, count: impl FnOnce(&mut ServerSlot)) {
        let index = (self.elapsed_ms() / SLOT_MS) as usize;
        let mut figures = self.lock();
        if figures.slots.len() <= index {
            figures.slots.resize(index + 1, ServerSlot::default());
        }
        if let Some(slot) = figures.slots.get_mut(index) {
            count(slot);
        }
    }

    fn elapsed_ms(&self) -> u32 {
        u32::try_from(self.origin.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, ServerFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        let figures =
            ServerFigures { started: Moment::now(), slots: Vec::new(), acquires: Vec::new(), readings: Vec::new() };
        Self { origin: Instant::now(), figures: Mutex::new(figures) }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.recorder.slot(|slot| match self.status {
            Some(status) if status.is_success() => slot.served += 1,
            Some(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => slot.rejected += 1,
            Some(_) => slot.failed += 1,
            None => slot.abandoned += 1,
        });
    }
}
