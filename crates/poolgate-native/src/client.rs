//! A native client: what a browser with Poolgate's package is, without the browser.
//!
//! It runs the same throttle engine, follows the config on an event stream of its own (which is what makes the server
//! count it as a live client) and tells the throttle what became of each request.

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

/// How long fetching the config document may take.
const CONFIG_TIMEOUT: Duration = Duration::from_secs(10);

/// One client that obeys. [`run`](Self::run) must be polled beside the requests.
#[derive(Debug)]
pub struct NativeClient {
    http: HttpClient,
    /// The throttle's time begins here.
    origin: Instant,
    state: Mutex<State>,
    /// The throttle was used: its next wake-up may be another one.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    throttle: Throttle,
    waiting: HashMap<RequestId, oneshot::Sender<Result<Ticket, Rejection>>>,
    /// The server has a newer config than this client.
    missed: bool,
}

/// What the throttle says to a request.
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back unused"]
pub enum Asked {
    /// Send it now.
    Start(Ticket),
    /// It waits in the client's queue.
    Queued(Waiting),
    /// It may not be sent.
    Rejected(Rejection),
}

/// The right to send one request. Dropping it gives it back.
#[derive(Debug)]
pub struct Ticket {
    client: Arc<NativeClient>,
    permit: Option<Permit>,
}

/// A place in a client's queue; becomes a ticket, or a rejection. Dropping it leaves the queue.
#[derive(Debug)]
#[must_use = "it does nothing unless polled"]
pub struct Waiting {
    client: Arc<NativeClient>,
    id: RequestId,
    verdict: oneshot::Receiver<Result<Ticket, Rejection>>,
}

impl NativeClient {
    /// A client that has heard nothing yet, so that everything passes. Equal seeds decide alike.
    pub fn new(http: HttpClient, settings: Settings, seed: u64) -> Arc<Self> {
        let throttle = Throttle::new(settings, seed);
        let state = State { throttle, waiting: HashMap::new(), missed: false };
        Arc::new(Self { http, origin: Instant::now(), state: Mutex::new(state), changed: Notify::new() })
    }

    /// Follows the config and starts what waited when its time has come. Never ends.
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

    /// Asks to send a request.
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
        // A malformed config is ignored, the last good one stays in force.
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

    /// Tells those who wait what the throttle has decided.
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
        // A ticket that nobody waits for any more gives itself back here, which takes the lock.
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
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Sends a GET and reads the answer, until `deadline`. The client learns from how it ends.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when there was none in time.
    pub async fn get(self, path: &str, deadline: Instant) -> Result<Answer, NoAnswer> {
        let http = self.client.http.clone();
        self.learn(http.get(path, deadline)).await
    }

    /// Sends a JSON document with POST; otherwise as [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when there was none in time; the server may have done what was asked all the same.
    pub async fn post_json(self, path: &str, document: String, deadline: Instant) -> Result<Answer, NoAnswer> {
        let http = self.client.http.clone();
        self.learn(http.post_json(path, document, deadline)).await
    }

    async fn learn(mut self, exchange: impl Future<Output = Result<Answer, NoAnswer>>) -> Result<Answer, NoAnswer> {
        let answer = exchange.await;
        // Before the outcome: of several servers it is the one that was heard last who turned a request away.
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
            // The sender is kept until there is a verdict.
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
