//! Users and their browsers: they wish, send, hear answers, retry and give up.

use std::time::Duration;

use super::{Event, RETRY, Request, Stage, World};
use crate::{
    browser::Browser,
    random::seconds,
    scheme::{Message, Outcome, Transport, Verdict},
};

impl World<'_> {
    pub(super) fn plan_next_wish(&mut self) {
        if let Some(at) = self.demand.next(self.scenario, self.now) {
            self.schedule.at(at, Event::Wish);
        }
    }

    pub(super) fn wish(&mut self) {
        self.plan_next_wish();
        let client = self.demand.who();
        self.meter.wish(client, self.now);
        let request = self.requests.len() as u32;
        self.requests.push(Request {
            client,
            session: self.browsers[client as usize].session,
            server: 0,
            incarnation: 0,
            attempts: 0,
            wished_at: self.now,
            deadline: self.now + Duration::from_millis(self.scenario.users.deadline_ms),
            arrived_at: Duration::ZERO,
            started_at: Duration::ZERO,
            stamp: 0,
            carries: None,
            stage: Stage::Home,
        });
        self.submit(request);
    }

    pub(super) fn submit(&mut self, number: u32) {
        let request = self.requests[number as usize];
        if request.stage != Stage::Home || self.is_abandoned(&request) {
            return;
        }
        self.catch_up(request.client);
        match self.browsers[request.client as usize].control.submit(number, self.now) {
            Verdict::Start => self.send(number),
            Verdict::Wait => self.schedule.at(request.deadline, Event::GiveUp(number)),
            Verdict::Refuse => self.refused(number),
        }
        self.settle(request.client);
    }

    /// Carries out the client's decisions up to now, and plans the next wake-up.
    pub(super) fn settle(&mut self, client: u32) {
        self.catch_up(client);
        while let Some((request, verdict)) = self.browsers[client as usize].control.poll(self.now) {
            match verdict {
                Verdict::Start => self.send(request),
                Verdict::Refuse => self.refused(request),
                Verdict::Wait => {}
            }
        }
        let browser = &mut self.browsers[client as usize];
        if let Some(at) = browser.plan_wakeup() {
            self.schedule.at(at, Event::Wake(client));
        }
        self.plan_hearing(client);
    }

    pub(super) fn wake(&mut self, client: u32) {
        if self.browsers[client as usize].is_woken(self.now) {
            self.settle(client);
        }
    }

    fn send(&mut self, number: u32) {
        let delay = self.one_way();
        let request = &mut self.requests[number as usize];
        request.stage = Stage::Away;
        request.attempts += 1;
        self.schedule.at(self.now + delay, Event::Arrive(number));
    }

    /// The browser itself refuses. Apps retry failures of the server, not refusals of their own client.
    pub(super) fn refused(&mut self, number: u32) {
        self.meter.second(self.now).refused += 1;
        self.requests[number as usize].stage = Stage::Over;
        self.disappointed(self.requests[number as usize].client);
    }

    /// The user has waited long enough. A sent request stays in flight, as `fetch` without a signal does.
    pub(super) fn give_up(&mut self, number: u32) {
        let request = self.requests[number as usize];
        if request.stage == Stage::Home && !self.is_abandoned(&request) {
            self.requests[number as usize].stage = Stage::Over;
            self.browsers[request.client as usize].control.abort(number, self.now);
            self.settle(request.client);
            self.disappointed(request.client);
        }
    }

    pub(super) fn answer(&mut self, number: u32, outcome: Outcome) {
        let request = self.requests[number as usize];
        if self.is_abandoned(&request) {
            return;
        }
        let stamp = self.stamp_of(&request, outcome);
        if let Some(message) = stamp {
            self.hear(request.client, &message);
        }
        self.browsers[request.client as usize].control.complete(number, outcome, self.now);
        if outcome == Outcome::Served {
            self.requests[number as usize].stage = Stage::Over;
            self.meter.answer(request.client, request.wished_at, request.deadline, self.now);
        } else {
            self.failed(number);
        }
        self.settle(request.client);
    }

    /// The message that an answer of the server carries.
    fn stamp_of(&mut self, request: &Request, outcome: Outcome) -> Option<Message> {
        if outcome == Outcome::NoContact || self.scheme.transport() != Transport::Push {
            return None;
        }
        if let Some(message) = request.carries {
            return Some(self.whispered[message as usize].clone());
        }
        let server = self.server(request.server);
        match server.told[..request.stamp as usize].last() {
            Some((_, message)) => Some(message.clone()),
            None => server.publisher.current(request.client),
        }
    }

    /// The app retries, if there is time and it has retries left.
    fn failed(&mut self, number: u32) {
        let pause = self.clients.around(RETRY * 2_u32.pow(self.requests[number as usize].attempts.min(6)));
        let request = &mut self.requests[number as usize];
        if request.attempts <= self.scenario.users.retries && self.now + pause < request.deadline {
            request.stage = Stage::Home;
            self.schedule.at(self.now + pause, Event::Retry(number));
        } else {
            request.stage = Stage::Over;
            let client = request.client;
            self.disappointed(client);
        }
    }

    /// A request has failed for good. Some users reload the page.
    fn disappointed(&mut self, client: u32) {
        let Some(least) = self.scenario.users.reload_seconds else { return };
        let browser = &mut self.browsers[client as usize];
        if browser.may_reload(seconds(least), self.now) {
            browser.control.reload(&mut self.clients, self.now);
            browser.session += 1;
        }
    }

    /// The user leaves; another one takes over.
    pub(super) fn leave(&mut self, client: u32) {
        let Some(mean) = self.scenario.users.session_seconds else { return };
        let Browser { session, server, .. } = self.browsers[client as usize];
        let mut browser = Browser::new(self.scenario, self.scheme, client, &mut self.clients);
        browser.session = session + 1;
        browser.server = self.choose_server().unwrap_or(server);
        browser.heard = self.server(browser.server).told.len();
        browser.listens = self.streams;
        let current = self.server(browser.server).publisher.current(client);
        if let Some(message) = current {
            browser.control.hear(&message, self.now);
        }
        self.browsers[client as usize] = browser;
        let stays = self.clients.interval(1.0 / mean);
        self.schedule.at(self.now + stays, Event::Leave(client));
    }

    pub(super) fn is_abandoned(&self, request: &Request) -> bool {
        request.session != self.browsers[request.client as usize].session
    }
}
