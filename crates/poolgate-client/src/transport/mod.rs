//! How configs arrive: pushed by the event stream, asked for while there is no stream. (The third way, the header of
//! the app's own responses, is in [`answer`](crate::answer).)

mod plan;
mod poll;
mod stream;

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    time::Duration,
};

use poolgate_throttle::News;
use poolgate_types::routes;
use wasm_bindgen::prelude::*;

pub(crate) use self::poll::{fetch_config, send};
use self::{
    plan::{Action, Plan},
    stream::{Received, Stream},
};
use crate::{
    client::Core,
    clock,
    host::{self, Page},
    listener::Listener,
    options::{Base, Transport as Mode},
    state::TransportKind,
    timer::Timer,
};

/// The stream, the timer of the next step, and the listeners that hear of a page that comes back.
#[derive(Debug)]
pub(crate) struct Transport {
    config_url: String,
    events_url: String,
    plan: RefCell<Plan>,
    stream: RefCell<Option<Stream>>,
    timer: Timer,
    listeners: RefCell<Vec<Listener>>,
}

impl Transport {
    pub(crate) fn new(mode: Mode, poll_interval: Duration, base: &Base, core: Weak<Core>) -> Self {
        Self {
            config_url: base.route(routes::THROTTLING_CONFIG),
            events_url: format!("{}?client={}", base.route(routes::EVENTS), random_id()),
            plan: RefCell::new(Plan::new(mode, stream::is_supported(), poll_interval)),
            stream: RefCell::new(None),
            timer: Timer::new(move || {
                if let Some(core) = core.upgrade() {
                    core.transport.timer.fired();
                    core.transport.advance(&core);
                }
            }),
            listeners: RefCell::new(Vec::new()),
        }
    }

    /// Looks for configs from now on.
    pub(crate) fn lead(&self, core: &Rc<Core>) {
        let now = clock::now();
        self.plan.borrow_mut().lead(now);
        let document = host::global("document");
        if document.is_object() && !is_visible(&document) {
            self.plan.borrow_mut().hidden(now);
        }
        self.advance(core);
    }

    /// Leaves it to another client of this browser.
    pub(crate) fn follow(&self, core: &Rc<Core>) {
        self.plan.borrow_mut().follow();
        self.stream.replace(None);
        self.advance(core);
    }

    /// That client has said something.
    pub(crate) fn heard_of(&self, core: &Rc<Core>) {
        self.plan.borrow_mut().heard_of(clock::now());
        core.announce_transport();
    }

    /// Something newer than the document is known.
    pub(crate) fn fetch_soon(&self, core: &Rc<Core>) {
        self.plan.borrow_mut().fetch_soon(clock::now(), chance());
        self.advance(core);
    }

    /// The server has no config for anybody: stops for good.
    pub(crate) fn close(&self) {
        self.plan.borrow_mut().end();
        self.stream.replace(None);
        self.listeners.replace(Vec::new());
        self.timer.clear();
    }

    pub(crate) fn kind(&self) -> TransportKind {
        let plan = self.plan.borrow();
        if plan.is_streaming() {
            TransportKind::Sse
        } else if plan.is_informed() {
            if plan.is_following() { TransportKind::Shared } else { TransportKind::Poll }
        } else {
            TransportKind::None
        }
    }

    pub(crate) fn config_url(&self) -> &str {
        &self.config_url
    }

    /// Does what is due and sets the timer for what comes next.
    fn advance(&self, core: &Rc<Core>) {
        loop {
            let action = self.plan.borrow_mut().next(clock::now(), chance());
            match action {
                None => break,
                Some(Action::OpenStream) => self.open_stream(core),
                Some(Action::CloseStream) => drop(self.stream.replace(None)),
                Some(Action::Poll) => self.poll(core),
            }
        }
        let deadline = self.plan.borrow().next_deadline();
        if let Some(at) = deadline {
            self.timer.set(at, clock::now());
        }
        core.announce_transport();
    }

    fn open_stream(&self, core: &Rc<Core>) {
        let core = Rc::downgrade(core);
        let opened = Stream::open(&self.events_url, move |received| {
            if let Some(core) = core.upgrade() {
                core.transport.received(&core, received);
            }
        });
        match opened {
            Ok(stream) => drop(self.stream.replace(Some(stream))),
            Err(_) => self.plan.borrow_mut().stream_lost(clock::now(), chance()),
        }
    }

    fn received(&self, core: &Rc<Core>, received: Received) {
        match received {
            // Out of range: the stream lives all the same.
            Received::Config(document) => {
                core.relay(&document.raw);
                core.learn_document(*document);
            }
            Received::Heartbeat(at, return_within, raw) => {
                self.return_within(return_within);
                core.relay(&raw);
                core.learn(&News::Current(at));
            }
            // The stream lives; what it said is ignored.
            Received::Malformed => {}
            Received::Bye(return_within) => {
                self.return_within(return_within);
                self.stream.replace(None);
                self.plan.borrow_mut().stream_ended(clock::now(), chance());
                self.advance(core);
                return;
            }
            Received::Broken => {
                self.stream.replace(None);
                self.plan.borrow_mut().stream_lost(clock::now(), chance());
                self.advance(core);
                return;
            }
        }
        let enforced = core.is_enforced();
        self.plan.borrow_mut().heard(enforced, clock::now());
        self.advance(core);
        core.pump();
    }

    fn return_within(&self, time: Option<Duration>) {
        if let Some(time) = time {
            self.plan.borrow_mut().return_within(time);
        }
    }

    fn poll(&self, core: &Rc<Core>) {
        let core = Rc::clone(core);
        wasm_bindgen_futures::spawn_local(async move {
            let answered = fetch_config(&core).await.is_ok();
            let interval = core.poll_after();
            let transport = &core.transport;
            transport.plan.borrow_mut().polled(answered, interval, clock::now(), chance());
            transport.advance(&core);
        });
    }

    /// Listens for a page that is shown or hidden, and a network that is back.
    pub(crate) fn watch_page(&self, core: &Rc<Core>) {
        let mut listeners = Vec::new();
        let document = host::global("document");
        if document.is_object() {
            let handler = {
                let (core, document) = (Rc::downgrade(core), document.clone());
                move |_| {
                    if let Some(core) = core.upgrade() {
                        core.transport.looked_at(&core, is_visible(&document));
                    }
                }
            };
            listeners.extend(Listener::new(&document, "visibilitychange", handler).ok());
        }
        let global: JsValue = js_sys::global().into();
        // Node's global object is no event target.
        if js_sys::Reflect::has(&global, &"addEventListener".into()).unwrap_or(false) {
            let weak = Rc::downgrade(core);
            let handler = move |_| {
                if let Some(core) = weak.upgrade() {
                    core.transport.looked_at(&core, true);
                }
            };
            listeners.extend(Listener::new(&global, "online", handler).ok());
        }
        self.listeners.replace(listeners);
    }

    fn looked_at(&self, core: &Rc<Core>, visible: bool) {
        let now = clock::now();
        if visible {
            self.plan.borrow_mut().shown(now);
        } else {
            self.plan.borrow_mut().hidden(now);
        }
        self.advance(core);
    }
}

fn is_visible(document: &JsValue) -> bool {
    document.unchecked_ref::<Page>().visibility_state() != "hidden"
}

/// A random number from 0 to 1.
pub(crate) fn chance() -> f64 {
    js_sys::Math::random()
}

/// Tells this client's stream from others; no secret, and sent nowhere else.
fn random_id() -> String {
    // 64 bits: `as` saturates.
    let half = || (chance() * 4_294_967_296.0) as u32;
    format!("{:08x}{:08x}", half(), half())
}
