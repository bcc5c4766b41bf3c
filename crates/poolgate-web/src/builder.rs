//! The app's options, checked once.

use std::{fmt, sync::Arc, time::Duration};

use poolgate_front::transport::Mode;
use poolgate_throttle::{Order, Settings};
use poolgate_types::timing::POLL;
use web_sys::RequestCredentials;

use crate::{
    Client,
    base::Base,
    browser::{OPEN_STREAM, OpenStream},
};

const MAX_QUEUE: usize = 10_000;
const MAX_QUEUE_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_RETRIES: u32 = 5;
const POLL_INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Decides which addresses count.
pub(crate) type Throttles = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Makes a [`Client`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    base: String,
    pub(crate) mode: Mode,
    pub(crate) open_stream: Option<OpenStream>,
    pub(crate) poll_interval: Duration,
    pub(crate) settings: Settings,
    pub(crate) retries: u32,
    pub(crate) credentials: RequestCredentials,
    pub(crate) throttles: Option<Throttles>,
}

/// An option that is out of range or malformed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` must be {expected}")]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl Builder {
    pub(crate) fn new(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            mode: Mode::default(),
            open_stream: None,
            poll_interval: POLL,
            settings: Settings::default(),
            retries: 0,
            credentials: RequestCredentials::SameOrigin,
            throttles: None,
        }
    }

    /// How configs arrive. Default: by polling, and with the header of every response. The code for event streams is in a page
    /// only if the app calls this.
    pub fn transport(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self.open_stream = Some(OPEN_STREAM);
        self
    }

    /// Time between two polls, 1 s to an hour, +-20 %; the interval in the server's config wins. Default 30 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// How many requests may wait, at most 10,000. Default 256.
    pub fn max_queue(mut self, requests: usize) -> Self {
        self.settings.max_queue = requests;
        self
    }

    /// How long a request may wait, at most ten minutes. Default 10 s.
    pub fn queue_timeout(mut self, time: Duration) -> Self {
        self.settings.queue_timeout = time;
        self
    }

    /// Order of waiting requests of equal priority.
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// How often a request is repeated after a network error, 429, 502, 503 or 504, at most 5. Only GET, HEAD, OPTIONS, PUT
    /// and DELETE without a body are repeated, after a growing random wait or the server's `Retry-After` (30 s at most). At
    /// most a tenth of all requests are repetitions, and there are none above MODERATE. Default 0.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Credentials of the client's own requests. Default: same origin, as with `fetch`. `Include` sends cookies to a server
    /// on another origin, which must allow it.
    pub fn credentials(mut self, credentials: RequestCredentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Which requests are throttled, by their absolute address. Default: those to the origin of the base, except the health
    /// API.
    pub fn throttles(mut self, counts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.throttles = Some(Arc::new(counts));
        self
    }

    /// A client that begins to look for its config. Off the browser, as when a server renders the page, all requests pass.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] names the first option that is wrong.
    pub fn build(self) -> Result<Client, InvalidOption> {
        let wrong = |option, expected| Err(InvalidOption { option, expected });
        if self.settings.max_queue > MAX_QUEUE {
            return wrong("max_queue", "at most 10,000 requests");
        }
        if self.settings.queue_timeout > MAX_QUEUE_TIMEOUT {
            return wrong("queue_timeout", "at most ten minutes");
        }
        if self.retries > MAX_RETRIES {
            return wrong("retries", "at most 5");
        }
        if !(POLL_INTERVALS.0..=POLL_INTERVALS.1).contains(&self.poll_interval) {
            return wrong("poll_interval", "from one second to an hour");
        }
        let base = Base::read(&self.base)?;
        Ok(Client::start(base, self))
    }
}

/// The message, because apps expect their options to be right: `expect` then says what is wrong.
impl fmt::Debug for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("base", &self.base).field("settings", &self.settings).finish_non_exhaustive()
    }
}
