//! One client at work: sleeps until something is due, listens, asks.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use gloo_timers::callback::Timeout;
use poolgate_front::transport::{Action, Plan};
use poolgate_types::Bye;
use wasm_bindgen_futures::spawn_local;

use super::{own_request, page::Page, worker};
use crate::{Transport, core::Core, host};

/// Begins to look for configs. It ends when the client is closed.
pub(crate) fn start(core: &Arc<Core>) {
    let core = Arc::clone(core);
    spawn_local(async move {
        // Before the first limit: until a worker of ours has answered, it throttles this page's requests.
        worker::announce().await;
        let driver = Driver::new(core);
        driver.run().await;
    });
}

/// One client at work.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) core: Arc<Core>,
    plan: RefCell<Plan>,
    stream: RefCell<Option<Box<dyn Any>>>,
    timer: RefCell<Option<Timer>>,
    is_leading: Cell<bool>,
    this: WeakDriver,
}

/// What listeners and timers have of a driver: nothing once it has ended.
#[derive(Clone, Debug)]
pub(crate) struct WeakDriver(Weak<Driver>);

#[derive(Debug)]
struct Timer {
    at: Duration,
    _timeout: Timeout,
}

impl WeakDriver {
    pub(super) fn with(&self, act: impl FnOnce(&Driver)) {
        if let Some(driver) = self.0.upgrade() {
            act(&driver);
        }
    }
}

impl Driver {
    fn new(core: Arc<Core>) -> Rc<Self> {
        let has_streams = core.options.open_stream.is_some() && host::global("EventSource").is_some();
        let plan = Plan::new(core.options.mode, has_streams, core.options.poll_interval);
        Rc::new_cyclic(|this| Self {
            core,
            plan: RefCell::new(plan),
            stream: RefCell::default(),
            timer: RefCell::default(),
            is_leading: Cell::default(),
            this: WeakDriver(Weak::clone(this)),
        })
    }

    async fn run(&self) {
        let _page = Page::watch(&self.this);
        self.lead();
        while !self.core.is_closed() {
            self.advance();
            self.core.front.changed().await;
        }
        self.plan.borrow_mut().end();
        self.stream.take();
        self.timer.take();
        self.core.save();
    }

    /// Looks for configs from now on, with the budget that the page's last client has left.
    pub(super) fn lead(&self) {
        // The first `pageshow` comes when the page has loaded.
        if self.is_leading.replace(true) {
            return;
        }
        self.core.restore();
        let mut plan = self.plan.borrow_mut();
        plan.lead(host::now());
        if Page::is_hidden() {
            plan.hidden(host::now());
        }
    }

    /// The page is left.
    pub(super) fn rest(&self) {
        self.is_leading.set(false);
        self.plan.borrow_mut().rest();
        self.stream.take();
        self.core.save();
    }

    /// The page is shown again, or hidden.
    pub(super) fn look(&self, is_visible: bool) {
        let now = host::now();
        if is_visible {
            self.plan.borrow_mut().shown(now);
        } else {
            self.plan.borrow_mut().hidden(now);
        }
        self.advance();
    }

    /// The stream has delivered something.
    pub(super) fn heard(&self) {
        let enforced = self.core.front.state().enforced;
        self.plan.borrow_mut().heard(enforced, host::now());
        self.advance();
    }

    /// The server sets the time within which clients come back.
    pub(super) fn return_within(&self, bye: Option<Bye>) {
        if let Some(Bye { return_within_ms }) = bye {
            self.plan.borrow_mut().return_within(Duration::from_millis(return_within_ms.into()));
        }
    }

    /// The server ended the stream in order.
    pub(super) fn stream_ended(&self) {
        self.stream.take();
        self.plan.borrow_mut().stream_ended(host::now(), host::chance());
        self.advance();
    }

    /// The stream broke, or never began.
    pub(super) fn stream_lost(&self) {
        self.stream.take();
        self.plan.borrow_mut().stream_lost(host::now(), host::chance());
        self.advance();
    }

    /// Does what is due, sets the timer, and tells watchers.
    pub(super) fn advance(&self) {
        let front = &self.core.front;
        front.poll();
        if self.core.has_no_route() {
            self.plan.borrow_mut().end();
            self.stream.take();
        }
        let (is_missed, is_newer) = (front.config_is_due(), front.document_is_due());
        // A stream is about to bring the document that a header has announced.
        if is_missed || (is_newer && !self.plan.borrow().is_streaming()) {
            self.plan.borrow_mut().ask_soon(host::now(), host::chance());
        }
        while let Some(action) = self.next_action() {
            match action {
                Action::OpenStream => self.open(),
                Action::CloseStream => drop(self.stream.take()),
                Action::Ask => self.ask(),
            }
        }
        self.set_timer();
        self.core.tell(self.transport());
    }

    fn next_action(&self) -> Option<Action> {
        self.plan.borrow_mut().next(host::now(), host::chance())
    }

    fn open(&self) {
        match self.core.options.open_stream.map(|open| open(&self.core, &self.this)) {
            Some(Ok(stream)) => drop(self.stream.replace(Some(stream))),
            Some(Err(_)) | None => self.plan.borrow_mut().stream_lost(host::now(), host::chance()),
        }
    }

    fn ask(&self) {
        let (core, this) = (Arc::clone(&self.core), self.this.clone());
        spawn_local(async move {
            let answer = own_request::ask(&core).await;
            this.with(|driver| driver.asked(answer.is_ok()));
        });
    }

    fn asked(&self, is_answered: bool) {
        let interval = self.core.document().map(|document| Duration::from_secs(document.poll_after_seconds.into()));
        self.plan.borrow_mut().asked(is_answered, interval, host::now(), host::chance());
        self.advance();
    }

    fn transport(&self) -> Transport {
        let plan = self.plan.borrow();
        match () {
            () if plan.is_streaming() => Transport::Sse,
            () if plan.is_informed() => Transport::Poll,
            () => Transport::None,
        }
    }

    /// One timer for everything. A later deadline costs no call of the host: the timer fires early and is set again.
    fn set_timer(&self) {
        let due = [self.core.front.next_wakeup(), self.plan.borrow().next_deadline()].into_iter().flatten().min();
        let Some(at) = due else { return };
        if self.timer.borrow().as_ref().is_some_and(|timer| timer.at <= at) {
            return;
        }
        let this = self.this.clone();
        let wake = move || {
            this.with(|driver| {
                driver.timer.take();
                driver.advance();
            });
        };
        let timeout = Timeout::new(host::timer_milliseconds(at.saturating_sub(host::now())), wake);
        self.timer.replace(Some(Timer { at, _timeout: timeout }));
    }
}
