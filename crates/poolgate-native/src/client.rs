//! A native client: does what Poolgate's package does in a browser.
//!
//! It runs the same throttle engine, follows the config on its own event stream (so that the server counts it as a live
//! client), and reports the outcome of each request to the throttle.

use std::{
    collections::HashMap,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::StatusCode;
use poolgate_throttle::{
    Configured, Event, News, Outcome, Permit, Rejection, Request, RequestId, Settings, Submitted, Throttle,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time,
};

use super::{
    Random, feed,
    http::{Answer, HttpClient, NoAnswer},
};

/// Time limit for fetching the config document.
const CONFIG_TIMEOUT: Duration = Duration::from_secs(10);

/// An obedient client. [`run`](Self::run) must be polled beside the requests.
#[derive(Debug)]
pub struct NativeClient {
    http: HttpClient,
    /// Origin of the throttle's time.
    origin: Instant,
    state: Mutex<State>,
    /// The throttle was used, so its next wake-up may have changed.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    throttle: Throttle,
    waiting: HashMap<RequestId, oneshot::Sender<Result<Ticket, Rejection>>>,
    /// The server has a newer config than this client.
    missed: bool,
}

/// The throttle's answer to a request.
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back unused"]
pub enum Asked {
    /// Send it now.
    Start(Ticket),
    /// It waits in the client's queue.
    Queued(Waiting),
    /// Do not send it.
    Rejected(Rejection),
}

/// The right to send one request; dropping it gives it back.
#[derive(Debug)]
pub struct Ticket {
    client: Arc<NativeClient>,
    permit: Option<Permit>,
}

/// A place in a client's queue, which becomes a ticket or a rejection; dropping it leaves the queue.
#[derive(Debug)]
#[must_use = "it does nothing unless polled"]
pub struct Waiting {
    client: Arc<NativeClient>,
    id: RequestId,
    verdict: oneshot::Receiver<Result<Ticket, Rejection>>,
}

impl NativeClient {
    /// A client without a config, which lets all requests pass. Equal seeds give equal decisions.
    pub fn new(http: HttpClient, settings: Settings, seed: u64) -> Arc<Self> {
        let throttle = Throttle::new(settings, seed);
        let state = State { throttle, waiting: HashMap::new(), missed: false };
        Arc::new(Self { http, origin: Instant::now(), state: Mutex::new(state), changed: Notify::new() })
    }

    /// Follows the config and starts queued requests when it is their turn. Never ends.
    pub async fn run(self: &Arc<Self>, mut random: Random) {
        let (tell, mut news) = mpsc::channel(feed::BACKLOG);
        let id = random.next_u64();
        let mut feed = pin!(feed::follow(self.http.clone(), id, random, tell));
        let mut feeding = true;
        let mut fetching: Pin<Box<dyn Future<Output = News> + Send>> = Box::pin(std::future::pending());
        let mut is_fetching = false;
        loop {
            if !is_fetching && std::mem::take(&mut self.lock().missed) {
                fetching = Box::pin(fetch_config(self.http.clone()));
                is_fetching = true;
            }
            let wakeup = self.lock().throttle.next_wakeup().map(|at| self.origin + at);
            tokio::select! {
                Some(heard) = news.recv() => self.hear(&heard),
                heard = &mut fetching, if is_fetching => {
                    is_fetching = false;
                    self.hear(&heard);
                }
                () = time::sleep_until(wakeup.unwrap_or(self.origin).into()), if wakeup.is_some() => self.settle(),
                () = self.changed.notified() => {}
                () = &mut feed, if feeding => feeding = false,
            }
        }
    }

    /// Submits a request.
    pub fn ask(self: &Arc<Self>, request: Request) -> Asked {
        let mut state = self.lock();
        let asked = match state.throttle.submit(request, self.origin.elapsed()) {
            Submitted::Start(permit) => Asked::Start(self.ticket(permit)),
            Submitted::Rejected(rejection) => Asked::Rejected(rejection),
            Submitted::Queued(id) => {
                let (tell, verdict) = oneshot::channel();
                state.waiting.insert(id, tell);
                Asked::Queued(Waiting { client: Arc::clone(self), id, verdict })
            }
        };
        drop(state);
        self.settle();
        asked
    }

    fn hear(self: &Arc<Self>, news: &News) {
        let mut state = self.lock();
        // A malformed config is ignored; the last valid one stays in force.
        if let Ok(Configured::Missed) = state.throttle.configure(news, self.origin.elapsed()) {
            state.missed = true;
        }
        drop(state);
        self.settle();
    }

    fn complete(self: &Arc<Self>, permit: Permit, outcome: Outcome) {
        self.lock().throttle.complete(permit, outcome, self.origin.elapsed());
        self.settle();
    }

    /// Passes the throttle's decisions to the waiting requests.
    fn settle(self: &Arc<Self>) {
        let mut decided = Vec::new();
        let mut state = self.lock();
        while let Some(event) = state.throttle.poll(self.origin.elapsed()) {
            match event {
                Event::Start(id, permit) => decided.push((state.waiting.remove(&id), Ok(self.ticket(permit)))),
                Event::Rejected(id, rejection) => decided.push((state.waiting.remove(&id), Err(rejection))),
                Event::Ask => state.missed = true,
                _ => {}
            }
        }
        drop(state);
        // A ticket without a receiver gives itself back here, which takes the lock.
        for (waiting, verdict) in decided {
            if let Some(waiting) = waiting {
                drop(waiting.send(verdict));
            }
        }
        self.changed.notify_one();
    }

    fn ticket(self: &Arc<Self>, permit: Permit) -> Ticket {
        Ticket { client: Arc::clone(self), permit: Some(permit) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Sends a GET and reads the answer, until `deadline`. The throttle learns the outcome.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] if there was none in time.
    pub async fn get(self, path: &str, deadline: Instant) -> Result<Answer, NoAnswer> {
        let http = self.client.http.clone();
        self.learn(http.get(path, deadline)).await
    }

    /// Sends a JSON document with POST; otherwise like [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] if there was none in time; the server may have executed the request nevertheless.
    pub async fn post_json(self, path: &str, document: String, deadline: Instant) -> Result<Answer, NoAnswer> {
        let http = self.client.http.clone();
        self.learn(http.post_json(path, document, deadline)).await
    }

    async fn learn(mut self, exchange: impl Future<Output = Result<Answer, NoAnswer>>) -> Result<Answer, NoAnswer> {
        let answer = exchange.await;
        // Before the outcome: of several servers, the one heard last is the one that rejected.
        match &answer {
            Ok(Answer { config: Some(header), .. }) => self.client.hear(&News::Header(*header)),
            Ok(Answer { status, .. }) if status.is_success() => self.client.hear(&News::HeaderMissing),
            _ => {}
        }
        if let Some(permit) = self.permit.take() {
            self.client.complete(permit, outcome(&answer));
        }
        answer
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.client.complete(permit, Outcome::Aborted);
        }
    }
}

impl Future for Waiting {
    type Output = Result<Ticket, Rejection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.verdict).poll(context) {
            Poll::Ready(Ok(verdict)) => Poll::Ready(verdict),
            // The sender is kept until there is a decision.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.client.lock();
        let waited = state.waiting.remove(&self.id).is_some();
        if waited {
            state.throttle.abort(self.id, self.client.origin.elapsed());
        }
        drop(state);
        if waited {
            self.client.settle();
        }
    }
}

fn outcome(answer: &Result<Answer, NoAnswer>) -> Outcome {
    match answer {
        Ok(Answer { status: StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
            Outcome::Rejected { retry_after: *retry_after }
        }
        Ok(_) => Outcome::Success,
        Err(NoAnswer::Late) => Outcome::Aborted,
        Err(NoAnswer::NoContact) => Outcome::Failure,
    }
}

async fn fetch_config(http: HttpClient) -> News {
    http.config(Instant::now() + CONFIG_TIMEOUT).await.map_or(News::NoContact, News::Config)
}
