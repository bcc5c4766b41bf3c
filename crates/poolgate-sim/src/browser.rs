//! A browser: what it runs, and what it has heard.

use std::time::Duration;

use poolgate_types::ConfigVersion;

use crate::{
    random::Random,
    scenario::Scenario,
    schedule::Alarm,
    scheme::{Client, Message, Needs, Outcome, Scheme, Verdict},
    schemes::Unthrottled,
};

pub(crate) struct Browser {
    pub(crate) control: Box<dyn Client>,
    /// Rises when the page is reloaded or another user takes over: earlier requests are abandoned.
    pub(crate) session: u32,
    /// The server with its event stream, or the one that it has polled last.
    pub(crate) server: u32,
    /// Number of broadcast messages of that server that it has heard or skipped.
    pub(crate) heard: usize,
    /// Its event stream is open.
    pub(crate) listens: bool,
    /// When it last asked a server that has not restarted since.
    pub(crate) polled_at: Option<Duration>,
    /// An event is planned in which it hears the next message.
    pub(crate) hearing: bool,
    seed: u64,
    hidden: bool,
    /// Whether to compare the configs that it obeys, and the newest one of the cluster that it has obeyed.
    is_watched: bool,
    obeyed: Option<ConfigVersion>,
    wakeup: Alarm,
    reloaded_at: Option<Duration>,
}

impl Browser {
    pub(crate) fn new(scenario: &Scenario, scheme: &dyn Scheme, number: u32, random: &mut Random) -> Self {
        let users = &scenario.users;
        let seed = random.number();
        // Chosen by number, not by chance, so that every scheme gets the same ones. Heavy users have the lowest numbers;
        // rogues and clients of six fields are spread over all numbers.
        let place = f64::from(number % 100) / 100.0;
        let control: Box<dyn Client> = if place < users.rogue_share {
            Box::new(Unthrottled)
        } else if place < users.rogue_share + users.six_fields_share {
            Box::new(SixFieldsOnly(scheme.client(scenario, seed)))
        } else {
            scheme.client(scenario, seed)
        };
        Self {
            control,
            session: 0,
            server: 0,
            heard: 0,
            listens: true,
            polled_at: None,
            hearing: false,
            seed,
            hidden: f64::from((number / 2) % 100) / 100.0 < users.hidden_share,
            is_watched: scenario.cluster.is_some(),
            obeyed: None,
            wakeup: Alarm::default(),
            reloaded_at: None,
        }
    }

    /// Hears a message. Returns whether it obeys an older config of the cluster than before. Epochs of clusters are odd.
    pub(crate) fn hear(&mut self, message: &Message, now: Duration) -> bool {
        self.control.hear(message, now);
        if !self.is_watched {
            return false;
        }
        let obeys = self.control.obeys(now).filter(|at| at.epoch % 2 == 1);
        let is_older = obeys.is_some_and(|at| Some(at) < self.obeyed);
        self.obeyed = self.obeyed.max(obeys);
        is_older
    }

    /// How long the next broadcast message takes; asking twice gives the same answer.
    pub(crate) fn push_delay(&self, mean: Duration) -> Duration {
        let mixed =
            (self.seed ^ (self.heard as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mean.mul_f64(0.5 + (mixed >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// Whether the server knows of it: by its stream, or because it has asked within `ttl`.
    pub(crate) fn is_live(&self, ttl: Duration, now: Duration) -> bool {
        self.listens || self.polled_at.is_some_and(|polled| now - polled <= ttl)
    }

    /// When to plan a wake-up; `None` if the planned one is early enough.
    pub(crate) fn plan_wakeup(&mut self) -> Option<Duration> {
        let mut at = self.control.next_wakeup()?;
        if self.hidden {
            // Whole seconds begin at another moment in each browser.
            let offset = Duration::from_micros(self.seed % 1_000_000);
            at = Duration::from_secs((at + offset).as_secs() + 1).saturating_sub(offset);
        }
        self.wakeup.plan(at)
    }

    /// Whether this wake-up is the latest one planned.
    pub(crate) fn is_woken(&mut self, now: Duration) -> bool {
        self.wakeup.rings(now)
    }

    pub(crate) fn may_reload(&mut self, least: Duration, now: Duration) -> bool {
        if self.reloaded_at.is_some_and(|last| now - last < least) {
            return false;
        }
        self.reloaded_at = Some(now);
        true
    }
}

/// A client that knows only the six fields of the first contract.
struct SixFieldsOnly(Box<dyn Client>);

impl Client for SixFieldsOnly {
    fn hear(&mut self, message: &Message, now: Duration) {
        if let Message::Config(config) = message {
            let mut known = poolgate_types::ThrottlingConfig::clone(config);
            known.fair_rate_per_second = None;
            self.0.hear(&Message::Config(known.into()), now);
        } else {
            self.0.hear(message, now);
        }
    }

    fn submit(&mut self, request: u32, now: Duration) -> Verdict {
        self.0.submit(request, now)
    }

    fn abort(&mut self, request: u32, now: Duration) {
        self.0.abort(request, now);
    }

    fn complete(&mut self, request: u32, outcome: Outcome, now: Duration) {
        self.0.complete(request, outcome, now);
    }

    fn poll(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        self.0.poll(now)
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.0.next_wakeup()
    }

    fn obeys(&self, now: Duration) -> Option<ConfigVersion> {
        self.0.obeys(now)
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    fn needs(&mut self, now: Duration) -> Needs {
        self.0.needs(now)
    }

    fn reload(&mut self, random: &mut Random, now: Duration) {
        self.0.reload(random, now);
    }
}
