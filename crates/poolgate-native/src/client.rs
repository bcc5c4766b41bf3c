//! The client: a front, an HTTP client, and the driver between them.

use std::{
    future::Future,
    pin::{Pin, pin},
    time::{Duration, Instant},
};

use poolgate_front::{Asked, Front, Ticket};
use poolgate_throttle::{News, Outcome, Request, Settings};
use tokio::{sync::mpsc, time};

use crate::{
    feed,
    http::{Answer, HttpClient, NoAnswer},
};

/// Time limit for fetching the config document.
const CONFIG_TIMEOUT: Duration = Duration::from_secs(10);

/// One client that obeys a server. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    front: Front,
    /// The front's time begins here.
    origin: Instant,
    seed: u64,
}

impl Client {
    /// A client that has heard nothing yet, so that everything passes. Clients with equal seeds decide alike, so give each
    /// its own.
    pub fn new(http: HttpClient, settings: Settings, seed: u64) -> Self {
        let origin = Instant::now();
        let front = Front::new(settings, seed, move || origin.elapsed());
        Self { http, front, origin, seed }
    }

    /// Follows the config, and starts requests that wait when their time has come. It never ends. Poll it beside the
    /// requests, once for each client.
    pub async fn run(&self) {
        let (tell, mut news) = mpsc::channel(feed::BACKLOG);
        let mut feed = pin!(feed::follow(self.http.clone(), fastrand::Rng::with_seed(!self.seed), tell));
        let mut feeding = true;
        let mut fetching: Option<Pin<Box<dyn Future<Output = News> + Send>>> = None;
        loop {
            if fetching.is_none() && self.front.config_is_due() {
                fetching = Some(Box::pin(fetch_config(self.http.clone())));
            }
            let wakeup = self.front.next_wakeup().map(|at| self.origin + at);
            tokio::select! {
                Some(heard) = news.recv() => self.front.hear(&heard),
                heard = async { fetching.as_mut().expect("guarded").await }, if fetching.is_some() => {
                    fetching = None;
                    self.front.hear(&heard);
                }
                () = time::sleep_until(wakeup.unwrap_or(self.origin).into()), if wakeup.is_some() => self.front.poll(),
                () = self.front.changed() => {}
                () = &mut feed, if feeding => feeding = false,
            }
        }
    }

    /// Asks to send a request.
    pub fn ask(&self, request: Request) -> Asked {
        self.front.ask(request)
    }

    /// Sends a GET and reads the answer, until `deadline`. The client learns from how it ends.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when there was none in time.
    pub async fn get(&self, ticket: Ticket, path: &str, deadline: Instant) -> Result<Answer, NoAnswer> {
        learn(ticket, self.http.get(path, deadline)).await
    }

    /// Sends a JSON document with POST; otherwise like [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when there was none in time. The server may have done what was asked all the same.
    pub async fn post_json(
        &self,
        ticket: Ticket,
        path: &str,
        document: String,
        deadline: Instant,
    ) -> Result<Answer, NoAnswer> {
        learn(ticket, self.http.post_json(path, document, deadline)).await
    }
}

async fn learn(ticket: Ticket, exchange: impl Future<Output = Result<Answer, NoAnswer>>) -> Result<Answer, NoAnswer> {
    let answer = exchange.await;
    match &answer {
        Ok(answer) => ticket.finish(&answer.head, answer.head.is_rejection(&answer.body)),
        Err(NoAnswer::Late) => ticket.complete(Outcome::Aborted),
        Err(NoAnswer::NoContact) => ticket.complete(Outcome::Failure),
    }
    answer
}

async fn fetch_config(http: HttpClient) -> News {
    http.config(Instant::now() + CONFIG_TIMEOUT).await.map_or(News::NoContact, News::Config)
}
