//! One run: moves requests and messages between users, browsers, servers and database, in virtual time.

mod balancer;
mod exchanges;
mod faults;
mod news;
mod replicas;
mod server;
mod ticks;
mod users;
mod work;

use std::time::Duration;

use poolgate_control::cluster::{Census, Exchange, Seen};
use poolgate_types::timing;

use self::{exchanges::Cluster, server::Server};
use crate::{
    browser::Browser,
    database::Database,
    demand::Demand,
    meter::Meter,
    random::{Random, Stream, seconds},
    scenario::Scenario,
    schedule::{Alarm, Schedule},
    scheme::{Message, Outcome, Scheme, Transport},
};

/// The controller's tick.
const TICK: Duration = Duration::from_millis(100);
/// How often a stream says that nothing has changed, while a limit is in force and otherwise.
const HEARTBEAT: Duration = timing::HEARTBEAT_ENFORCED;
/// How often a client without a stream asks.
const FALLBACK_POLL: Duration = timing::POLL_ENFORCED;
/// For how long one that has asked counts as live.
const TTL: Duration = timing::TTL_ENFORCED;
/// Clients whose stream was cut come back within this time.
const RECONNECT: Duration = timing::LEAST_RETURN.saturating_add(timing::RETURN_WITHIN);
/// How long the balancer needs to notice that a server does not answer any more, or answers again.
const HEALTH_CHECK: Duration = Duration::from_secs(2);
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
    finish: Alarm,
    /// All that have ever been up; a number stays that of its server.
    servers: Vec<Server>,
    balancer: Random,
    /// What several servers share besides the database; `None` for a single one.
    cluster: Option<Cluster>,
    /// Messages to single clients.
    whispered: Vec<Message>,
    streams: bool,
    meter: Meter,
}

/// A request on its way from wish to answer.
#[derive(Clone, Copy, Debug)]
struct Request {
    client: u32,
    session: u32,
    /// The server at which it has arrived, and the start of that server.
    server: u32,
    incarnation: u32,
    attempts: u32,
    wished_at: Duration,
    deadline: Duration,
    arrived_at: Duration,
    started_at: Duration,
    /// Number of broadcast messages that its server had sent when it was answered.
    stamp: u32,
    /// The message to this client alone that the answer carries.
    carries: Option<u32>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In the browser: it waits, or is between two attempts.
    Home,
    /// Sent and not answered yet.
    Away,
    Over,
}

#[derive(Debug)]
enum Event {
    Wish,
    GiveUp(u32),
    Retry(u32),
    Arrive(u32),
    Handle(u32),
    /// A connection of this server is open, which it began to open after this start.
    Connected(u32, u32),
    Finish,
    Expire(u32),
    Answer(u32, Outcome),
    Wake(u32),
    Hear(u32),
    Told(u32, u32),
    Poll(u32),
    Reconnect(u32),
    Leave(u32),
    Tick(u32),
    Fault(usize, bool),
    /// A request of a server that was stopped meanwhile has left the database, which has answered or not.
    Ended(u32, bool),
    /// Another replica starts, or this one begins to leave.
    Start,
    Drain(u32),
    CheckHealth(u32),
    /// A replica begins this step of its exchanges.
    Meet(u32, u64),
    Write(u32, u64, Box<Exchange>),
    Read(u32, u64, Option<Box<Seen>>),
    /// The list of connections, and when the database was asked for it.
    Listed(u32, u64, Box<Census>, Duration),
    Silence(u32, u64),
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
            finish: Alarm::default(),
            servers: Vec::new(),
            balancer: Random::new(seed, Stream::Balancer),
            cluster: scenario.cluster.as_ref().map(|cluster| Cluster::new(cluster, Random::new(seed, Stream::Cluster))),
            whispered: Vec::new(),
            streams: true,
            meter: Meter::new(scenario.seconds, count, warm_up),
            scenario,
            scheme,
        };
        world.start_servers_at_first();
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

    fn start_servers_at_first(&mut self) {
        if let Some(cluster) = self.scenario.cluster {
            (0..cluster.replicas).for_each(|_| self.start_replica(false));
        } else {
            self.servers.push(Server::new(self.scenario, self.scheme));
            self.schedule.at(TICK, Event::Tick(0));
        }
    }

    /// Plans the events that do not depend on the scheme.
    fn plan_the_outside(&mut self) {
        self.plan_next_wish();
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
        if let Some(server) = self.addressee(&event).map(|number| self.server(number)).filter(|server| server.is_paused)
        {
            return server.put_off.push(event);
        }
        match event {
            Event::Wish => self.wish(),
            Event::GiveUp(request) => self.give_up(request),
            Event::Retry(request) => self.submit(request),
            Event::Arrive(request) => self.arrive(request),
            Event::Handle(request) => self.admit(request),
            Event::Connected(server, incarnation) => self.connected(server, incarnation),
            Event::Finish if self.finish.rings(self.now) => self.complete(),
            Event::Expire(server) if self.servers[server as usize].expiry.rings(self.now) => self.shed(server),
            // An earlier one was planned.
            Event::Finish | Event::Expire(_) => {}
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
            Event::Tick(server) => self.tick(server),
            Event::Fault(number, begins) => self.fault(number, begins),
            Event::Ended(request, answered) => self.ended(request, answered),
            Event::Start => self.start_replica(false),
            Event::Drain(server) => self.drain(server),
            Event::CheckHealth(server) => self.check_health(server),
            Event::Meet(server, step) => self.meet(server, step),
            Event::Write(server, step, write) => self.write(server, step, *write),
            Event::Read(server, step, seen) => self.read(server, step, seen.map(|seen| *seen)),
            Event::Listed(server, step, census, asked) => self.listed(server, step, *census, asked),
            Event::Silence(server, step) => self.silence(server, step),
        }
    }

    /// The server that would act on an event, which waits while that server is stopped.
    fn addressee(&self, event: &Event) -> Option<u32> {
        match event {
            Event::Handle(request) | Event::Ended(request, _) => Some(self.requests[*request as usize].server),
            Event::Connected(server, _)
            | Event::Expire(server)
            | Event::Tick(server)
            | Event::Drain(server)
            | Event::Meet(server, _)
            | Event::Read(server, ..)
            | Event::Listed(server, ..)
            | Event::Silence(server, _) => Some(*server),
            _ => None,
        }
    }

    fn server(&mut self, number: u32) -> &mut Server {
        &mut self.servers[number as usize]
    }

    fn one_way(&mut self) -> Duration {
        self.network.around(seconds(self.scenario.network.one_way_ms / 1000.0))
    }
}
