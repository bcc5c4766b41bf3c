//! The client: one throttle, what feeds it, and what it drives.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use js_sys::Function;
use poolgate_throttle::{Configured, Event, News, RouteLimits, RouteSignal, Settings, Share, Throttle};
use wasm_bindgen::prelude::*;

use crate::{
    answer::Reader,
    budget::Budget,
    cleanup::AutoCleanup,
    clock,
    document::{self, Document},
    fetch::Requests,
    host::Shell,
    nap::Naps,
    options::{OnOpen, Options},
    scope::Scope,
    state::{self, Contact, TransportKind},
    timer::Timer,
    transport::Transport,
};

/// Everything of one client. Shared by its timers, listeners and requests; every cell is borrowed for one step only.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) shell: Shell,
    pub(crate) host_fetch: Function,
    pub(crate) on_open: OnOpen,
    pub(crate) scope: Scope,
    pub(crate) throttle: RefCell<Throttle>,
    pub(crate) reader: RefCell<Reader>,
    pub(crate) requests: Requests,
    pub(crate) naps: Naps,
    /// Where the limits of others count.
    pub(crate) routes: Option<RefCell<RouteLimits>>,
    pub(crate) retries: u32,
    pub(crate) max_queue: usize,
    pub(crate) queue_timeout: Duration,
    pub(crate) transport: Transport,
    pub(crate) cleanup: AutoCleanup,
    pub(crate) closed: Cell<bool>,
    /// Requests that the app has made since the others were last told.
    pub(crate) made: Cell<u32>,
    budget: Budget,
    /// Other clients of this browser act with this one as a single client.
    shared: bool,
    /// The others wait for slots that requests in flight still hold.
    owing: Cell<bool>,
    leading: Cell<bool>,
    /// The newest whole document; a header may have been newer.
    document: RefCell<Option<Document>>,
    wakeup: Timer,
    announced: Cell<Announced>,
}

/// What listeners were told last.
#[derive(Clone, Copy, Debug, Default)]
struct Announced {
    queued: usize,
    contact: Contact,
}

impl Core {
    /// A client that has begun to look for its config.
    pub(crate) fn start(options: Options, shell: Shell) -> Rc<Self> {
        let Options {
            base,
            transport,
            poll_interval,
            throttles,
            max_queue,
            queue_timeout,
            on_open,
            auto_cleanup,
            honour_foreign_limits,
            retries,
            fetch,
        } = options;
        let shared = shell.shared().is_truthy();
        let core = Rc::new_cyclic(|core| Self {
            host_fetch: fetch,
            on_open,
            scope: Scope::new(&base, throttles, shell.clone()),
            throttle: RefCell::new(Throttle::new(Settings { max_queue, queue_timeout, ..Settings::default() }, seed())),
            reader: RefCell::new(Reader::new()),
            requests: Requests::new(),
            naps: Naps::default(),
            routes: honour_foreign_limits.then(|| RefCell::new(RouteLimits::new(seed()))),
            retries,
            max_queue,
            queue_timeout,
            cleanup: AutoCleanup::new(auto_cleanup, &base, core.clone()),
            transport: Transport::new(transport, poll_interval, &base, core.clone()),
            closed: Cell::new(false),
            made: Cell::new(0),
            budget: Budget::new(&base),
            shared,
            owing: Cell::new(false),
            leading: Cell::new(false),
            document: RefCell::new(None),
            wakeup: {
                let core = core.clone();
                Timer::new(move || {
                    if let Some(core) = core.upgrade() {
                        core.wakeup.fired();
                        core.pump();
                    }
                })
            },
            announced: Cell::default(),
            shell,
        });
        core.transport.watch_page(&core);
        if shared {
            core.share(Share::Slots { held: 0, of: 1 }, 0.0, false);
        } else {
            core.lead();
        }
        core
    }

    /// Looks for configs itself, and goes on with the budget that whoever did so before has left.
    pub(crate) fn lead(self: &Rc<Self>) {
        if self.closed.get() || self.leading.replace(true) {
            return;
        }
        self.budget.restore(&mut self.throttle.borrow_mut(), clock::now());
        self.transport.lead(self);
        self.pump();
    }

    /// Stops looking for configs, and leaves the budget to whoever leads next.
    pub(crate) fn follow(self: &Rc<Self>) {
        if self.leading.get() {
            self.save();
            self.leading.set(false);
        }
        self.transport.follow(self);
    }

    /// Takes in what another client of this browser has heard.
    pub(crate) fn hear(self: &Rc<Self>, news: &JsValue) {
        self.transport.heard_of(self);
        let header = if news.is_string() { self.reader.borrow_mut().header(news.clone()) } else { None };
        if let Some(document) = Document::read(news) {
            self.learn_document(document);
        } else if let Some(at) = document::version(news) {
            self.learn(&News::Current(at));
        } else if let Some(header) = header {
            self.learn(&News::Header(header));
        } else if news.is_null() {
            self.learn(&News::NotFound);
        }
        self.pump();
    }

    /// Uses this share of the limits from now on; gives the tokens that go to others. `owing`: tell of requests that end.
    pub(crate) fn share(self: &Rc<Self>, share: Share, tokens: f64, owing: bool) -> f64 {
        self.owing.set(owing);
        let given = self.throttle.borrow_mut().set_share(share, tokens, clock::now());
        self.pump();
        given
    }

    /// Tells the shell how much there is to do.
    pub(crate) fn tell_demand(&self) {
        let state = self.throttle.borrow().state(clock::now());
        let limit = state.limits.concurrency.filter(|_| !state.passes_through).unwrap_or(0);
        // The queue's bound is far below 2^32.
        self.shell.demand(state.in_flight, state.queued as u32, limit, self.made.take());
    }

    /// Hands on what the server said.
    pub(crate) fn relay(&self, news: &JsValue) {
        if self.shared {
            self.shell.relay(news);
        }
    }

    fn save(&self) {
        let now = clock::now();
        let savings = self.throttle.borrow().savings(now);
        if let Some(saved) = self.budget.save(savings, now) {
            self.relay(&saved);
        }
    }

    /// Takes in a document; then [`pump`](Self::pump). `false`: it was out of range, and is ignored.
    pub(crate) fn learn_document(&self, document: Document) -> bool {
        let news = News::Config(document.config.clone());
        // Alone in its statement, as all borrows here: it ends before anything of the app's runs.
        let configured = self.throttle.borrow_mut().configure(&news, clock::now());
        if configured == Ok(Configured::Applied) || self.document.borrow().is_none() && configured.is_ok() {
            let raw = document.raw.clone();
            self.document.replace(Some(document));
            self.emit("config", &raw);
        }
        configured.is_ok()
    }

    /// Takes in other news; then [`pump`](Self::pump).
    pub(crate) fn learn(self: &Rc<Self>, news: &News) {
        self.learn_at(news, clock::now());
    }

    /// The same by somebody who has just asked for the time; then [`pump_at`](Self::pump_at). Gives whether it was news.
    pub(crate) fn learn_at(self: &Rc<Self>, news: &News, now: Duration) -> bool {
        let configured = self.throttle.borrow_mut().configure(news, now);
        let behind = match (configured, news) {
            // A header says less than the document, which a stream is about to bring.
            (Ok(Configured::Applied), News::Header(_)) => self.transport.kind() != TransportKind::Sse,
            (Ok(Configured::Missed), _) => true,
            // A header out of range is ignored like one that is malformed.
            _ => false,
        };
        if behind {
            self.transport.fetch_soon(self);
        }
        configured == Ok(Configured::Applied)
    }

    /// Does what the throttle says is due, tells listeners, and sets the next wake-up.
    pub(crate) fn pump(self: &Rc<Self>) {
        self.pump_at(clock::now());
    }

    /// The same by somebody who has just asked for the time: that is a good part of what a call costs.
    pub(crate) fn pump_at(self: &Rc<Self>, mut now: Duration) {
        loop {
            let event = self.throttle.borrow_mut().poll(now);
            if event.is_some() {
                // Whatever is done about it may take a while.
                now = clock::now();
            }
            match event {
                None => break,
                Some(Event::Start(id, permit)) => self.start_waiting(id, permit),
                Some(Event::Rejected(id, rejection)) => self.reject_waiting(id, rejection),
                Some(Event::LevelChanged { from, to }) => {
                    self.cleanup.observe(to, now);
                    self.emit("levelchange", &state::level_change(from, to));
                }
                Some(Event::BreakerChanged { from, to }) => {
                    self.emit("breakerchange", &state::breaker_change(from, to))
                }
                Some(Event::StaleChanged(stale)) => {
                    self.announce_contact(Contact { stale, ..self.announced.get().contact })
                }
                Some(_) => {}
            }
        }
        let queued = self.queued();
        self.wakeup.hold(self.requests.queued() > 0);
        let wakeup = self.throttle.borrow().next_wakeup();
        match wakeup {
            Some(at) if !self.closed.get() => self.wakeup.set(at, now),
            _ => {}
        }
        if self.leading.get() && self.budget.is_due(now) {
            self.save();
        }
        if self.shared && (self.requests.queued() > 0 || self.owing.get()) {
            self.tell_demand();
        }
        let announced = self.announced.get();
        if announced.queued != queued {
            self.announced.set(Announced { queued, ..announced });
            let in_flight = self.throttle.borrow().state(now).in_flight;
            self.emit("queuechange", &state::queue_change(queued, in_flight));
        }
    }

    /// Tells listeners how the client learns of configs, if that has changed.
    pub(crate) fn announce_transport(&self) {
        self.announce_contact(Contact { transport: self.transport.kind(), ..self.announced.get().contact });
    }

    /// What the client does at the moment.
    pub(crate) fn state(&self) -> JsValue {
        let throttle = self.throttle.borrow().state(clock::now());
        let document = self.document.borrow();
        state::client_state(
            &throttle,
            self.queued(),
            document.as_ref().map(|document| &document.raw),
            self.transport.kind(),
        )
    }

    /// Calls that wait, for whatever.
    pub(crate) fn queued(&self) -> usize {
        self.requests.queued() + self.naps.len()
    }

    /// When to ask again whether a request of this route may start; `None`: it may.
    pub(crate) fn admit(&self, route: &str) -> Option<Duration> {
        if self.closed.get() {
            return None;
        }
        self.routes.as_ref().and_then(|routes| routes.borrow_mut().admit(route, clock::now()))
    }

    /// Takes in what somebody other than the gate said about this route.
    pub(crate) fn learn_route(&self, route: &str, signal: RouteSignal) {
        if let Some(routes) = &self.routes {
            routes.borrow_mut().learn(route, signal, clock::now());
        }
    }

    /// The newest whole document.
    pub(crate) fn document(&self) -> Option<Document> {
        self.document.borrow().clone()
    }

    /// How often a client without a stream asks, if the server has said so.
    pub(crate) fn poll_after(&self) -> Option<Duration> {
        self.document.borrow().as_ref().map(|document| Duration::from_secs(document.config.poll_after_seconds.into()))
    }

    /// Whether limits act, so that news is urgent.
    pub(crate) fn is_enforced(&self) -> bool {
        self.throttle.borrow().state(clock::now()).enforced
    }

    /// Rejects what waits, stops everything; requests pass straight through from now on.
    pub(crate) fn close(self: &Rc<Self>) {
        if self.closed.replace(true) {
            return;
        }
        self.transport.close();
        self.cleanup.close();
        self.learn(&News::Closed);
        self.pump();
        self.wakeup.clear();
        self.requests.close();
        self.end_naps(false);
        self.announce_transport();
    }

    fn announce_contact(&self, contact: Contact) {
        let announced = self.announced.get();
        if announced.contact != contact {
            self.announced.set(Announced { contact, ..announced });
            self.emit("syncchange", &state::contact_change(contact));
        }
    }

    fn emit(&self, kind: &str, change: &JsValue) {
        self.shell.emit(kind, change);
    }
}

/// From the host's generator: no two clients may draw the same jitter.
fn seed() -> u64 {
    // 2^32 values each; `as` saturates.
    let half = || (js_sys::Math::random() * 4_294_967_296.0) as u64;
    (half() << 32) | half()
}
