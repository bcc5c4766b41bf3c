//! One run: moves requests and messages between users, browsers, server and database, in virtual time.

use std::time::Duration;

use poolgate_control::{Contact, GateSample, PoolSample, Probes, Sample};

use crate::{
    browser::Browser,
    database::Database,
    demand::Demand,
    meter::Meter,
    random::{Random, Stream, seconds},
    scenario::{FaultKind, Scenario},
    schedule::{Alarm, Schedule},
    scheme::{Admission, Arrival, Limiter, Message, Outcome, Publisher, Reply, Scheme, Tell, Transport, Verdict},
    waits::RecentWaits,
};

/// The controller's tick.
const TICK: Duration = Duration::from_millis(100);
/// How often a stream says that nothing has changed, while a limit is in force and otherwise.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often a client without a stream asks.
const FALLBACK_POLL: Duration = Duration::from_secs(5);
/// Within this time those whose stream was cut come back.
const RECONNECT: Duration = Duration::from_secs(3);
/// First pause of an app before it tries again; doubled each time.
const RETRY: Duration = Duration::from_millis(200);

pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    scheme: &'a dyn Scheme,
    schedule: Schedule<Event>,
    now: Duration,
    end: Duration,
    demand: Demand,
    network: Random,
    clients: Random,
    browsers: Vec<Browser>,
    requests: Vec<Request>,
    database: Database,
    limiter: Box<dyn Limiter>,
    finish: Alarm,
    expiry: Alarm,
    publisher: Box<dyn Publisher>,
    /// What was said to everyone, and when.
    told: Vec<(Duration, Message)>,
    /// What was said to one client.
    whispered: Vec<Message>,
    up: bool,
    streams: bool,
    incarnation: u32,
    sample: Sample,
    waits: RecentWaits,
    tested_at: Duration,
    contact: Contact,
    heartbeat_at: Duration,
    meter: Meter,
}

/// A request on its way from wish to answer.
#[derive(Clone, Copy, Debug)]
struct Request {
    client: u32,
    session: u32,
    incarnation: u32,
    attempts: u32,
    wished_at: Duration,
    deadline: Duration,
    arrived_at: Duration,
    started_at: Duration,
    /// Messages to everyone that had been said when it was answered.
    stamp: u32,
    /// What was said to this client alone, with the answer.
    carries: Option<u32>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In the browser: waiting, or between two attempts.
    Home,
    /// Sent, and not answered yet.
    Away,
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Wish,
    GiveUp(u32),
    Retry(u32),
    Arrive(u32),
    Handle(u32),
    Finish,
    Expire,
    Answer(u32, Outcome),
    Wake(u32),
    Hear(u32),
    Told(u32, u32),
    Poll(u32),
    Reconnect(u32),
    Leave(u32),
    Tick,
    Fault(usize, bool),
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, scheme: &'a dyn Scheme, seed: u64) -> Self {
        let mut clients = Random::new(seed, Stream::Clients);
        let demand = Demand::new(scenario, Random::new(seed, Stream::Demand));
        let count = scenario.clients;
        let browsers = (0..count).map(|number| Browser::new(scenario, scheme, number, &mut clients)).collect();
        let warm_up = Duration::from_secs(scenario.warm_up_seconds.into());
        let mut world = Self {
            schedule: Schedule::new(),
            now: Duration::ZERO,
            end: scenario.length(),
            demand,
            network: Random::new(seed, Stream::Network),
            clients,
            browsers,
            requests: Vec::new(),
            database: Database::new(scenario.database.clone(), Random::new(seed, Stream::Service)),
            limiter: scheme.limiter(scenario),
            finish: Alarm::default(),
            expiry: Alarm::default(),
            publisher: scheme.publisher(scenario, 1),
            told: Vec::new(),
            whispered: Vec::new(),
            up: true,
            streams: true,
            incarnation: 0,
            sample: Sample::default(),
            waits: RecentWaits::default(),
            tested_at: Duration::ZERO,
            contact: Contact::Answering,
            heartbeat_at: Duration::ZERO,
            meter: Meter::new(scenario.seconds, count, warm_up),
            scenario,
            scheme,
        };
        world.plan_the_outside();
        world
    }

    pub(crate) fn run(mut self) -> Meter {
        while let Some((at, event)) = self.schedule.next() {
            if at > self.end {
                break;
            }
            self.now = at;
            self.handle(event);
        }
        self.meter
    }

    /// What happens whatever the scheme does.
    fn plan_the_outside(&mut self) {
        self.plan_next_wish();
        self.schedule.at(TICK, Event::Tick);
        for (number, fault) in self.scenario.faults.iter().enumerate() {
            self.schedule.at(seconds(fault.at), Event::Fault(number, true));
            self.schedule.at(seconds(fault.at + fault.seconds), Event::Fault(number, false));
        }
        for client in 0..self.browsers.len() as u32 {
            self.reconnect(client);
            if let Transport::Poll { seconds: every, together } = self.scheme.transport() {
                let first = if together { 0.0 } else { every * self.clients.unit() };
                self.schedule.at(seconds(first), Event::Poll(client));
            }
            if let Some(mean) = self.scenario.users.session_seconds {
                let stays = self.clients.interval(1.0 / mean);
                self.schedule.at(stays, Event::Leave(client));
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wish => self.wish(),
            Event::GiveUp(request) => self.give_up(request),
            Event::Retry(request) => self.submit(request),
            Event::Arrive(request) => self.arrive(request),
            Event::Handle(request) => self.admit(request),
            Event::Finish if self.finish.rings(self.now) => self.complete(),
            Event::Expire if self.expiry.rings(self.now) => self.shed(),
            // Another one was planned for sooner.
            Event::Finish | Event::Expire => {}
            Event::Answer(request, outcome) => self.answer(request, outcome),
            Event::Wake(client) => self.wake(client),
            Event::Hear(client) => {
                self.browsers[client as usize].hearing = false;
                self.settle(client);
            }
            Event::Told(client, message) => self.tell(client, message),
            Event::Poll(client) => self.poll(client),
            Event::Reconnect(client) => self.reconnect(client),
            Event::Leave(client) => self.leave(client),
            Event::Tick => self.tick(),
            Event::Fault(number, begins) => self.fault(number, begins),
        }
    }

    // Users and browsers.

    fn plan_next_wish(&mut self) {
        if let Some(at) = self.demand.next(self.scenario, self.now) {
            self.schedule.at(at, Event::Wish);
        }
    }

    fn wish(&mut self) {
        self.plan_next_wish();
        let client = self.demand.who();
        self.meter.wish(client, self.now);
        let request = self.requests.len() as u32;
        self.requests.push(Request {
            client,
            session: self.browsers[client as usize].session,
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

    fn submit(&mut self, number: u32) {
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

    /// Takes in whatever the client has to say by now, and plans when it must be asked again.
    fn settle(&mut self, client: u32) {
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

    fn wake(&mut self, client: u32) {
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

    /// The browser itself says no. Apps try again what a server failed to do, not what their own client refuses.
    fn refused(&mut self, number: u32) {
        self.meter.second(self.now).refused += 1;
        self.requests[number as usize].stage = Stage::Over;
        self.disappointed(self.requests[number as usize].client);
    }

    /// The user has waited long enough. What is on its way stays on its way, as `fetch` without a signal does.
    fn give_up(&mut self, number: u32) {
        let request = self.requests[number as usize];
        if request.stage == Stage::Home && !self.is_abandoned(&request) {
            self.requests[number as usize].stage = Stage::Over;
            self.browsers[request.client as usize].control.abort(number, self.now);
            self.settle(request.client);
            self.disappointed(request.client);
        }
    }

    fn answer(&mut self, number: u32, outcome: Outcome) {
        let request = self.requests[number as usize];
        if self.is_abandoned(&request) {
            return;
        }
        let stamp = self.stamp_of(&request, outcome);
        let browser = &mut self.browsers[request.client as usize];
        if let Some(message) = stamp {
            browser.control.hear(&message, self.now);
        }
        browser.control.complete(number, outcome, self.now);
        if outcome == Outcome::Served {
            self.requests[number as usize].stage = Stage::Over;
            self.meter.answer(request.client, request.wished_at, request.deadline, self.now);
        } else {
            self.failed(number);
        }
        self.settle(request.client);
    }

    /// What every answer of the server carries.
    fn stamp_of(&mut self, request: &Request, outcome: Outcome) -> Option<Message> {
        if outcome == Outcome::NoContact || self.scheme.transport() != Transport::Push {
            return None;
        }
        if let Some(message) = request.carries {
            return Some(self.whispered[message as usize].clone());
        }
        match self.told[..request.stamp as usize].last() {
            Some((_, message)) => Some(message.clone()),
            None => self.publisher.current(request.client),
        }
    }

    /// The app tries again, if there is time and it has not done so too often.
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

    /// The user leaves; another one takes the place.
    fn leave(&mut self, client: u32) {
        let Some(mean) = self.scenario.users.session_seconds else { return };
        let session = self.browsers[client as usize].session + 1;
        let mut browser = Browser::new(self.scenario, self.scheme, client, &mut self.clients);
        browser.session = session;
        browser.heard = self.told.len();
        browser.listens = self.streams;
        self.browsers[client as usize] = browser;
        if let Some(message) = self.publisher.current(client) {
            self.browsers[client as usize].control.hear(&message, self.now);
        }
        let stays = self.clients.interval(1.0 / mean);
        self.schedule.at(self.now + stays, Event::Leave(client));
    }

    fn is_abandoned(&self, request: &Request) -> bool {
        request.session != self.browsers[request.client as usize].session
    }

    // What clients hear.

    /// Gives a client what has reached it by now. Doing so only when it matters is what makes a million clients possible;
    /// it changes nothing, for a client to which nothing happens does nothing.
    fn catch_up(&mut self, client: u32) {
        let push = seconds(self.scenario.network.push_ms / 1000.0);
        let browser = &mut self.browsers[client as usize];
        if !browser.listens {
            return;
        }
        while let Some((told_at, message)) = self.told.get(browser.heard) {
            let heard_at = *told_at + browser.push_delay(push);
            if heard_at > self.now {
                break;
            }
            browser.heard += 1;
            browser.control.hear(message, heard_at);
        }
    }

    /// A client with waiting requests acts on what it hears as soon as it hears it.
    fn plan_hearing(&mut self, client: u32) {
        let push = seconds(self.scenario.network.push_ms / 1000.0);
        let browser = &mut self.browsers[client as usize];
        if !browser.listens || browser.control.waiting() == 0 || browser.hearing {
            return;
        }
        if let Some((told_at, _)) = self.told.get(browser.heard) {
            let heard_at = *told_at + browser.push_delay(push);
            browser.hearing = true;
            self.schedule.at(heard_at.max(self.now), Event::Hear(client));
        }
    }

    fn tell(&mut self, client: u32, message: u32) {
        let message = &self.whispered[message as usize];
        let browser = &mut self.browsers[client as usize];
        if browser.listens {
            browser.control.hear(message, self.now);
        }
        self.settle(client);
    }

    fn poll(&mut self, client: u32) {
        let every = match self.scheme.transport() {
            Transport::Poll { seconds: every, .. } => seconds(every),
            Transport::Push if self.streams => return,
            Transport::Push => FALLBACK_POLL,
        };
        self.schedule.at(self.now + every, Event::Poll(client));
        if self.up {
            let needs = self.browsers[client as usize].control.needs(self.now);
            self.publisher.asked(client, needs, self.now);
        }
        let message = if self.up { self.publisher.current(client) } else { Some(Message::NoContact) };
        if let Some(message) = message {
            self.browsers[client as usize].control.hear(&message, self.now);
            self.settle(client);
        }
    }

    fn reconnect(&mut self, client: u32) {
        if !self.streams || !self.up {
            return;
        }
        let browser = &mut self.browsers[client as usize];
        browser.listens = true;
        browser.heard = self.told.len();
        if let Some(message) = self.publisher.current(client) {
            self.browsers[client as usize].control.hear(&message, self.now);
        }
        self.settle(client);
    }

    // The server.

    fn arrive(&mut self, number: u32) {
        if !self.up {
            return self.lose(number);
        }
        let cost = seconds(self.scenario.server.request_us / 1e6);
        match self.database.occupy(cost, self.now) {
            Some(handled_at) => {
                self.requests[number as usize].incarnation = self.incarnation;
                self.schedule.at(handled_at, Event::Handle(number));
            }
            None => {
                self.meter.second(self.now).arrived += 1;
                self.reject(number);
            }
        }
    }

    fn admit(&mut self, number: u32) {
        let request = &mut self.requests[number as usize];
        if request.incarnation != self.incarnation {
            return self.lose(number);
        }
        request.arrived_at = self.now;
        let client = request.client;
        self.meter.second(self.now).arrived += 1;
        let demand = 1.0 + self.browsers[client as usize].control.waiting() as f64;
        self.publisher.arrived(client, demand, self.now);
        let arrival = Arrival { request: number, client, fair_rate: self.publisher.fair_rate() };
        let admission = self.limiter.arrive(arrival, self.now);
        if admission == Admission::OverQuota {
            self.meter.second(self.now).over_quota += 1;
            return self.reject(number);
        }
        self.sample.gate.arrivals += 1;
        match admission {
            Admission::Start => self.start(number),
            Admission::Wait => {}
            Admission::Reject | Admission::OverQuota => {
                self.sample.gate.rejected += 1;
                self.reject(number);
            }
        }
        self.shed();
    }

    fn start(&mut self, number: u32) {
        let request = &mut self.requests[number as usize];
        request.started_at = self.now;
        let wait = self.now - request.arrived_at;
        self.sample.gate.admitted += 1;
        self.waits.add(wait, self.now);
        self.meter.admit(wait, self.now);
        self.database.start(number, self.now);
        self.plan_finish();
    }

    fn plan_finish(&mut self) {
        if let Some(at) = self.database.next_end(self.now).and_then(|at| self.finish.plan(at)) {
            self.schedule.at(at, Event::Finish);
        }
    }

    fn complete(&mut self) {
        while let Some((number, answered)) = self.database.finish(self.now) {
            let request = self.requests[number as usize];
            let held = self.now - request.started_at;
            self.sample.completed += 1;
            self.sample.hold_total += held;
            if !answered {
                self.contact = Contact::Silent;
            }
            let outcome = if answered { Outcome::Served } else { Outcome::NoContact };
            self.reply(number, outcome);
            if let Some(next) = self.limiter.release(held, answered, self.now) {
                self.start(next);
            }
            self.shed();
        }
        self.plan_finish();
    }

    fn shed(&mut self) {
        while let Some(number) = self.limiter.shed(self.now) {
            self.sample.gate.rejected += 1;
            self.reject(number);
        }
        if let Some(at) = self.limiter.next_expiry().and_then(|at| self.expiry.plan(at.max(self.now))) {
            self.schedule.at(at, Event::Expire);
        }
    }

    fn reject(&mut self, number: u32) {
        self.meter.second(self.now).rejected += 1;
        let retry_after = Duration::from_secs(1 + self.network.below(3) as u64);
        self.reply(number, Outcome::Rejected { retry_after });
    }

    fn lose(&mut self, number: u32) {
        self.respond(number, Outcome::NoContact);
    }

    fn reply(&mut self, number: u32, outcome: Outcome) {
        let client = self.requests[number as usize].client;
        let reply = Reply { client, outcome, occupancy: self.limiter.occupancy(self.now) };
        let mut tell = Tell::default();
        let carried = self.publisher.answering(&reply, self.now, &mut tell);
        self.requests[number as usize].carries = carried.as_ref().map(|_| self.whispered.len() as u32);
        self.whispered.extend(carried);
        self.broadcast(tell);
        self.respond(number, outcome);
    }

    fn respond(&mut self, number: u32, outcome: Outcome) {
        self.requests[number as usize].stamp = self.told.len() as u32;
        let delay = self.one_way();
        self.schedule.at(self.now + delay, Event::Answer(number, outcome));
    }

    fn tick(&mut self) {
        self.schedule.at(self.now + TICK, Event::Tick);
        if !self.up {
            return;
        }
        self.test_database();
        let sample = self.take_sample();
        let mut tell = Tell::default();
        let orders = self.publisher.tick(&sample, self.now, &mut tell);
        self.limiter.obey(&orders);
        self.meter.tick(self.publisher.level(), self.publisher.fair_rate(), self.now);
        self.add_heartbeat(&mut tell);
        self.broadcast(tell);
    }

    fn take_sample(&mut self) -> Sample {
        let counted = std::mem::take(&mut self.sample);
        let occupancy = self.limiter.occupancy(self.now);
        Sample {
            pool: PoolSample {
                checked_out: occupancy.in_flight,
                capacity: self.scenario.database.connections,
                waiting: 0,
            },
            gate: GateSample {
                permits: occupancy.permits,
                in_flight: occupancy.in_flight,
                queued: occupancy.queued,
                oldest_wait: occupancy.oldest_wait,
                ..counted.gate
            },
            acquire_waits: self.waits.sample(self.now),
            contact: self.contact,
            probes: Probes::default(),
            live_clients: self.browsers.len() as u32,
            streaming_clients: self.browsers.iter().filter(|browser| browser.listens).count() as u32,
            ..counted
        }
    }

    /// As the server does: a connection of its own, about once a second while the database is silent.
    fn test_database(&mut self) {
        if self.contact == Contact::Silent && self.now - self.tested_at >= Duration::from_millis(500) {
            self.tested_at = self.now;
            if self.database.answers() {
                self.contact = Contact::Answering;
            }
        }
    }

    fn add_heartbeat(&mut self, tell: &mut Tell) {
        if !matches!(self.scheme.transport(), Transport::Push) || self.now - self.heartbeat_at < HEARTBEAT {
            return;
        }
        self.heartbeat_at = self.now;
        if let Some(Message::Config(config)) = self.publisher.current(0) {
            tell.all.push(Message::Heartbeat(config.at()));
        }
    }

    fn broadcast(&mut self, tell: Tell) {
        for message in tell.all {
            self.meter.second(self.now).published += u32::from(!matches!(message, Message::Heartbeat(_)));
            if matches!(self.scheme.transport(), Transport::Poll { .. }) {
                continue;
            }
            self.told.push((self.now, message));
            for client in 0..self.browsers.len() as u32 {
                self.plan_hearing(client);
            }
        }
        for (client, message) in tell.one {
            let delay = self.network.around(seconds(self.scenario.network.push_ms / 1000.0));
            self.schedule.at(self.now + delay, Event::Told(client, self.whispered.len() as u32));
            self.whispered.push(message);
        }
    }

    // What breaks.

    fn fault(&mut self, number: usize, begins: bool) {
        let fault = self.scenario.faults[number];
        match (fault.kind, begins) {
            (FaultKind::Slow, true) => self.database.slow_down(fault.factor),
            (FaultKind::Slow, false) => self.database.slow_down(1.0),
            (FaultKind::Outage, _) => {
                self.database.set_outage(begins, self.now);
                self.plan_finish();
            }
            (FaultKind::Restart, true) => self.stop_server(),
            (FaultKind::Restart, false) => self.start_server(),
            (FaultKind::StreamCut, true) => self.cut_streams(),
            (FaultKind::StreamCut, false) => {
                self.streams = true;
                self.let_reconnect();
            }
        }
    }

    fn stop_server(&mut self) {
        self.up = false;
        self.cut_streams();
        self.incarnation += 1;
        let waiting: Vec<u32> = self.database.abandon().collect();
        for number in waiting {
            self.lose(number);
        }
        // Whoever waited at the gate is lost too.
        while let Some(number) = self.limiter.release(Duration::ZERO, false, self.now) {
            self.lose(number);
        }
    }

    fn start_server(&mut self) {
        self.up = true;
        self.streams = true;
        self.limiter = self.scheme.limiter(self.scenario);
        self.publisher = self.scheme.publisher(self.scenario, 1 + u64::from(self.incarnation));
        self.sample = Sample::default();
        self.let_reconnect();
    }

    fn cut_streams(&mut self) {
        self.streams = false;
        for client in 0..self.browsers.len() as u32 {
            self.catch_up(client);
            self.browsers[client as usize].listens = false;
            if matches!(self.scheme.transport(), Transport::Push) {
                let after = FALLBACK_POLL.mul_f64(self.clients.unit());
                self.schedule.at(self.now + after, Event::Poll(client));
            }
        }
    }

    fn let_reconnect(&mut self) {
        for client in 0..self.browsers.len() as u32 {
            let after = RECONNECT.mul_f64(self.clients.unit());
            self.schedule.at(self.now + after, Event::Reconnect(client));
        }
    }

    fn one_way(&mut self) -> Duration {
        self.network.around(seconds(self.scenario.network.one_way_ms / 1000.0))
    }
}
