//! When clients hear which message.

use super::{Event, FALLBACK_POLL, RECONNECT, World};
use crate::{
    random::seconds,
    scheme::{Message, Transport},
};

impl World<'_> {
    /// Delivers the messages that have reached a client by now. They are delivered only when the client acts, which makes a
    /// million clients possible and changes nothing: a client to which nothing happens does nothing.
    pub(super) fn catch_up(&mut self, client: u32) {
        let push = seconds(self.scenario.network.push_ms / 1000.0);
        let browser = &mut self.browsers[client as usize];
        if !browser.listens {
            return;
        }
        while let Some((told_at, message)) = self.servers[browser.server as usize].told.get(browser.heard) {
            let heard_at = *told_at + browser.push_delay(push);
            if heard_at > self.now {
                break;
            }
            let is_older = browser.hear(message, heard_at);
            browser.heard += 1;
            self.meter.second(self.now).older_configs += u32::from(is_older);
        }
    }

    /// A client with waiting requests acts on what it hears as soon as it hears it.
    pub(super) fn plan_hearing(&mut self, client: u32) {
        let push = seconds(self.scenario.network.push_ms / 1000.0);
        let browser = &mut self.browsers[client as usize];
        if !browser.listens || browser.control.waiting() == 0 || browser.hearing {
            return;
        }
        if let Some((told_at, _)) = self.servers[browser.server as usize].told.get(browser.heard) {
            let heard_at = *told_at + browser.push_delay(push);
            browser.hearing = true;
            self.schedule.at(heard_at.max(self.now), Event::Hear(client));
        }
    }

    pub(super) fn tell(&mut self, client: u32, message: u32) {
        if self.browsers[client as usize].listens {
            let message = self.whispered[message as usize].clone();
            self.hear(client, &message);
        }
        self.settle(client);
    }

    pub(super) fn poll(&mut self, client: u32) {
        let every = match self.scheme.transport() {
            Transport::Poll { seconds: every, .. } => seconds(every),
            Transport::Push if self.streams => return,
            Transport::Push => FALLBACK_POLL,
        };
        let now = self.now;
        self.schedule.at(now + every, Event::Poll(client));
        let message = if let Some(server) = self.choose_server() {
            let browser = &mut self.browsers[client as usize];
            browser.server = server;
            browser.polled_at = Some(now);
            let needs = browser.control.needs(now);
            let publisher = &mut self.server(server).publisher;
            publisher.asked(client, needs, now);
            publisher.current(client)
        } else {
            Some(Message::NoContact)
        };
        if let Some(message) = message {
            self.hear(client, &message);
            self.settle(client);
        }
    }

    pub(super) fn reconnect(&mut self, client: u32) {
        if !self.streams {
            return;
        }
        let Some(number) = self.choose_server() else { return self.try_again(client) };
        let server = &mut self.servers[number as usize];
        let browser = &mut self.browsers[client as usize];
        (browser.server, browser.listens, browser.heard) = (number, true, server.told.len());
        if let Some(message) = server.publisher.current(client) {
            self.hear(client, &message);
        }
        self.settle(client);
    }

    /// No server of a cluster takes the stream. A single server calls its clients back when it has started again.
    fn try_again(&mut self, client: u32) {
        if self.cluster.is_some() {
            self.browsers[client as usize].listens = false;
            let after = RECONNECT.mul_f64(self.clients.unit());
            self.schedule.at(self.now + after, Event::Reconnect(client));
        }
    }

    pub(super) fn hear(&mut self, client: u32, message: &Message) {
        let is_older = self.browsers[client as usize].hear(message, self.now);
        self.meter.second(self.now).older_configs += u32::from(is_older);
    }
}
