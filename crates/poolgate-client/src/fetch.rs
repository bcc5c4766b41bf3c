//! The app's requests: submitted, queued, started, settled.
//!
//! The host's `fetch` gets the app's own arguments and its `Response` is handed on as it is. Only the head is read on
//! the way. No borrow is held while anything of the app's runs: its fetch, its getters, its listeners.

use std::{cell::RefCell, rc::Rc};

use js_sys::{Function, Promise};
use poolgate_throttle::{News, Outcome, Permit, RejectReason, Rejection, Request, RequestId, RouteSignal, Submitted};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use crate::{
    answer,
    call::{self, Call},
    client::Core,
    clock, error,
    host::{Numbered, Settling},
    listener::Listener,
    options::OnOpen,
    scope::Address,
    snapshot::{self, Snapshot},
    table::Table,
};

/// Requests that wait, and requests that are on their way.
#[derive(Debug)]
pub(crate) struct Requests {
    waiting: RefCell<Table<Waiting>>,
    flights: RefCell<Table<Flight>>,
    settled: RefCell<Option<Settled>>,
}

/// A call whose promise the app has, and nothing else yet.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
    call: Snapshot,
    resolve: Function,
    reject: Function,
    /// Dropped with the call, and so removed from the app's signal.
    _abort: Option<Listener>,
}

/// A call that the host's fetch works on.
#[derive(Debug)]
struct Flight {
    permit: Permit,
    input: JsValue,
    init: JsValue,
}

/// The two handlers of all flights; a number bound to them says which flight. JavaScript owns them: a flight may
/// outlive the client.
#[derive(Clone, Debug)]
struct Settled {
    fulfilled: Numbered,
    rejected: Numbered,
}

impl Requests {
    pub(crate) const fn new() -> Self {
        Self { waiting: RefCell::new(Table::new()), flights: RefCell::new(Table::new()), settled: RefCell::new(None) }
    }

    pub(crate) fn queued(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Breaks the cycle handlers -> core -> handlers; flights keep their own.
    pub(crate) fn close(&self) {
        self.settled.replace(None);
    }
}

impl Core {
    /// `fetch` with limits. Never throws: what is wrong becomes a rejection, as with the host's.
    pub(crate) fn fetch(self: &Rc<Self>, input: JsValue, init: JsValue) -> Promise {
        if self.closed.get() {
            return error::settled(self.call_host(&input, &init));
        }
        let Some(address) = self.scope.address(&input) else {
            return error::settled(self.call_host(&input, &init));
        };
        let counts = self.scope.covers(&address);
        if !counts && self.routes.is_none() {
            return error::settled(self.call_host(&input, &init));
        }
        let call = match Call::read(&input, &init) {
            Ok(call) => call,
            Err(thrown) => return Promise::reject(&thrown),
        };
        if let Some(reason) = call.aborted() {
            return self.reject_aborted(&input, &address, &init, &reason);
        }
        if self.takes_its_time(&call, counts) {
            return match Snapshot::take(&input, &address, &init) {
                Ok(taken) => self.take_time(call, taken, address, counts),
                Err(_) => self.refused_by_host(&input, &init),
            };
        }
        self.submit(call.request, input, init, &address, call.signal)
    }

    /// Sends a request now, queues it, or turns it away.
    pub(crate) fn submit(
        self: &Rc<Self>,
        request: Request,
        input: JsValue,
        init: JsValue,
        address: &Address,
        signal: JsValue,
    ) -> Promise {
        self.made.set(self.made.get().saturating_add(1));
        let now = clock::now();
        let submitted = self.throttle.borrow_mut().submit(request, now);
        let promise = match submitted {
            Submitted::Start(permit) => self.launch(permit, input, init),
            Submitted::Queued(id) => self.enqueue(id, &input, address, &init, signal),
            Submitted::Rejected(rejection) => error::settled(self.turned_away(rejection)),
        };
        self.pump_at(now);
        promise
    }

    /// Sends what may start now, rejects what has waited too long.
    pub(crate) fn start_waiting(self: &Rc<Self>, id: RequestId, permit: Permit) {
        let waiting = self.requests.waiting.borrow_mut().remove(id.as_u64());
        let Some(mut waiting) = waiting else {
            self.complete(permit, Outcome::Aborted);
            return;
        };
        let (input, init) = waiting.call.arguments();
        let promise = self.launch(permit, input, init);
        // A resolve function does not throw.
        let _ = waiting.resolve.call1(&JsValue::UNDEFINED, &promise);
    }

    /// The page is left: requests that may outlive it start now, or would never.
    pub(crate) fn start_keepalive(self: &Rc<Self>) {
        self.end_naps(true);
        let leaving = self.requests.waiting.borrow_mut().extract_if(|waiting| waiting.call.is_keepalive());
        for mut waiting in leaving {
            self.throttle.borrow_mut().abort(waiting.id, clock::now());
            let (input, init) = waiting.call.arguments();
            let promise = error::settled(self.call_host(&input, &init));
            let _ = waiting.resolve.call1(&JsValue::UNDEFINED, &promise);
        }
    }

    /// Ends a wait without a request.
    pub(crate) fn reject_waiting(&self, id: RequestId, rejection: Rejection) {
        let waiting = self.requests.waiting.borrow_mut().remove(id.as_u64());
        if let Some(waiting) = waiting {
            let _ = match self.turned_away(rejection) {
                Ok(response) => waiting.resolve.call1(&JsValue::UNDEFINED, &response),
                Err(error) => waiting.reject.call1(&JsValue::UNDEFINED, &error),
            };
        }
    }

    fn launch(self: &Rc<Self>, permit: Permit, input: JsValue, init: JsValue) -> Promise {
        let promise = match self.call_host(&input, &init) {
            Ok(promise) => promise,
            Err(thrown) => {
                self.complete(permit, Outcome::Aborted);
                return Promise::reject(&thrown);
            }
        };
        let id = permit.id().as_u64();
        self.requests.flights.borrow_mut().insert(id, Flight { permit, input, init });
        let Settled { fulfilled, rejected } = self.settled();
        // Ids count up from the start, far from 2^53.
        let number = id as f64;
        // A custom fetch may give any thenable; a native promise stays the same object.
        let promise = Promise::resolve(&promise);
        promise
            .unchecked_ref::<Settling>()
            .then(&fulfilled.bind(&JsValue::UNDEFINED, number), &rejected.bind(&JsValue::UNDEFINED, number))
    }

    fn enqueue(
        self: &Rc<Self>,
        id: RequestId,
        input: &JsValue,
        address: &Address,
        init: &JsValue,
        signal: JsValue,
    ) -> Promise {
        let call = match Snapshot::take(input, address, init) {
            Ok(call) => call,
            Err(_) => {
                self.throttle.borrow_mut().abort(id, clock::now());
                return self.refused_by_host(input, init);
            }
        };
        let abort = signal.is_object().then(|| self.abort_listener(id, signal)).flatten();
        let mut functions = None;
        let promise = Promise::new(&mut |resolve, reject| functions = Some((resolve, reject)));
        if let Some((resolve, reject)) = functions {
            self.requests
                .waiting
                .borrow_mut()
                .insert(id.as_u64(), Waiting { id, call, resolve, reject, _abort: abort });
        }
        promise
    }

    /// Ends a call that was aborted before it was made. Its body counts as used all the same, and what is wrong with its
    /// arguments is said first.
    fn reject_aborted(&self, input: &JsValue, address: &Address, init: &JsValue, reason: &JsValue) -> Promise {
        match Snapshot::take(input, address, init) {
            Ok(call) => {
                call.cancel(reason);
                Promise::reject(reason)
            }
            Err(_) => self.refused_by_host(input, init),
        }
    }

    /// The host says best what is wrong with arguments that cannot be copied.
    fn refused_by_host(&self, input: &JsValue, init: &JsValue) -> Promise {
        error::settled(self.call_host(input, init))
    }

    fn abort_listener(self: &Rc<Self>, id: RequestId, signal: JsValue) -> Option<Listener> {
        let core = Rc::downgrade(self);
        let handler = {
            let signal = signal.clone();
            move |_| {
                if let Some(core) = core.upgrade() {
                    core.abort(id, &call::abort_reason(&signal).unwrap_or_default());
                }
            }
        };
        Listener::new(&signal, "abort", handler).ok()
    }

    fn abort(self: &Rc<Self>, id: RequestId, reason: &JsValue) {
        let waiting = self.requests.waiting.borrow_mut().remove(id.as_u64());
        if let Some(waiting) = waiting {
            self.throttle.borrow_mut().abort(id, clock::now());
            waiting.call.cancel(reason);
            let _ = waiting.reject.call1(&JsValue::UNDEFINED, reason);
            self.pump();
        }
    }

    fn fulfilled(self: &Rc<Self>, number: f64, answer: &JsValue) {
        let flight = self.requests.flights.borrow_mut().remove(number as u64);
        if let Some(flight) = flight {
            let head = self.reader.borrow_mut().read(answer);
            let now = clock::now();
            if let Some(news) = head.news {
                // Whoever divides the limits must know them: the header of one tab's answer is news to all.
                if self.learn_at(&news, now) && matches!(news, News::Header(_)) {
                    let header = self.reader.borrow().last_header();
                    self.relay(&header);
                }
            }
            self.throttle.borrow_mut().complete(flight.permit, head.outcome, now);
            self.pump_at(now);
            if head.rejects && self.routes.is_none() {
                self.heed(answer, None);
            }
        }
    }

    /// Pauses everything if it is the gate that has rejected a request, and else this route, if there is one.
    pub(crate) fn heed(self: &Rc<Self>, answer: &JsValue, route: Option<String>) {
        let (core, signal) = (Rc::clone(self), answer::signal(answer));
        let problem = answer::problem(answer);
        if problem.is_none() && (route.is_none() || signal == RouteSignal::default()) {
            return;
        }
        spawn_local(async move {
            let gate = match problem {
                Some(problem) => JsFuture::from(problem).await.is_ok_and(|problem| answer::is_the_gates(&problem)),
                None => false,
            };
            if gate {
                core.throttle.borrow_mut().turned_away(answer::wait_of(signal), clock::now());
                core.pump();
            } else if let Some(route) = route {
                core.learn_route(&route, signal);
            }
        });
    }

    /// What the app's promise is rejected with: the host's error, or the reason of the app's own signal.
    fn rejected(self: &Rc<Self>, number: f64, thrown: JsValue) -> JsValue {
        let flight = self.requests.flights.borrow_mut().remove(number as u64);
        let Some(Flight { permit, input, init }) = flight else { return thrown };
        let reason = call::signal(&input, &init).ok().and_then(|signal| call::abort_reason(&signal));
        // Arguments that the platform refuses give a TypeError too, and are no evidence about the server.
        let outcome = if reason.is_some() || self.refused(&input, &init) { Outcome::Aborted } else { Outcome::Failure };
        self.complete(permit, outcome);
        self.pump();
        reason.unwrap_or(thrown)
    }

    fn refused(&self, input: &JsValue, init: &JsValue) -> bool {
        self.scope.address(input).is_none_or(|address| snapshot::judge(&address.href(), init).is_err())
    }

    fn complete(&self, permit: Permit, outcome: Outcome) {
        self.throttle.borrow_mut().complete(permit, outcome, clock::now());
    }

    fn turned_away(&self, rejection: Rejection) -> Result<JsValue, JsValue> {
        if rejection.reason == RejectReason::CircuitOpen && self.on_open == OnOpen::Respond {
            return error::response(rejection);
        }
        Err(error::rejection(&self.shell, rejection))
    }

    pub(crate) fn call_host(&self, input: &JsValue, init: &JsValue) -> Result<JsValue, JsValue> {
        self.host_fetch.call2(&JsValue::UNDEFINED, input, init)
    }

    fn settled(self: &Rc<Self>) -> Settled {
        self.requests
            .settled
            .borrow_mut()
            .get_or_insert_with(|| {
                let core = Rc::clone(self);
                let fulfilled = Closure::<dyn Fn(f64, JsValue) -> JsValue>::new(move |number, answer| {
                    core.fulfilled(number, &answer);
                    answer
                });
                let core = Rc::clone(self);
                let rejected =
                    Closure::<dyn Fn(f64, JsValue) -> Result<JsValue, JsValue>>::new(move |number, thrown| {
                        Err(core.rejected(number, thrown))
                    });
                Settled {
                    fulfilled: fulfilled.into_js_value().unchecked_into(),
                    rejected: rejected.into_js_value().unchecked_into(),
                }
            })
            .clone()
    }
}
