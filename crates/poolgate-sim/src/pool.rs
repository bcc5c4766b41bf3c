//! A model of a connection pool: connections take time to open, and requests that are let in wait for them.

use std::{collections::VecDeque, time::Duration};

use crate::{random::seconds, scenario::Database as Settings};

/// Connections that are opened at the same time at first; each that succeeds lets one more be opened, as in the real pool.
const AT_ONCE_AT_FIRST: u32 = 4;
const AT_ONCE_AT_MOST: u32 = 16;

/// The pool between the gate and the database.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Connections that may be open.
    capacity: u32,
    /// Connections that the server takes.
    room: u32,
    connect_time: Duration,
    /// Whether connections are opened before a request needs them.
    ahead: bool,
    /// Open and unused.
    idle: u32,
    in_use: u32,
    /// In use, and closed when they come back.
    outdated: u32,
    connecting: u32,
    at_once: u32,
    waiting: VecDeque<u32>,
}

impl Pool {
    pub(crate) fn new(settings: &Settings) -> Self {
        let connect_time = seconds(settings.connect_ms / 1000.0);
        let is_warm = settings.warm || connect_time.is_zero();
        Self {
            capacity: settings.connections,
            room: settings.room.unwrap_or(u32::MAX),
            connect_time,
            ahead: settings.warm,
            idle: if is_warm { settings.connections } else { 0 },
            in_use: 0,
            outdated: 0,
            connecting: 0,
            at_once: AT_ONCE_AT_FIRST,
            waiting: VecDeque::new(),
        }
    }

    /// A request wants a connection. True: it has one; otherwise it waits.
    pub(crate) fn acquire(&mut self, request: u32) -> bool {
        if self.idle == 0 {
            self.waiting.push_back(request);
            return false;
        }
        self.idle -= 1;
        self.in_use += 1;
        true
    }

    /// A connection comes back: who has it next.
    pub(crate) fn release(&mut self) -> Option<u32> {
        self.in_use -= 1;
        if self.outdated > 0 {
            self.outdated -= 1;
            return None;
        }
        self.hand_out()
    }

    /// Connections that begin to open now; each is [`connected`](Self::connected) after [`connect_time`](Self::connect_time).
    pub(crate) fn connects(&mut self) -> u32 {
        let open = self.idle + self.in_use + self.connecting;
        let room = self.capacity.min(self.room).saturating_sub(open);
        let waiting = (self.waiting.len() as u32).saturating_sub(self.connecting);
        let wanted = if self.ahead { room } else { waiting.min(room) };
        let begun = wanted.min(self.at_once.saturating_sub(self.connecting));
        self.connecting += begun;
        begun
    }

    pub(crate) fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// A connection is open: who has it.
    pub(crate) fn connected(&mut self) -> Option<u32> {
        self.connecting -= 1;
        self.at_once = (self.at_once + 1).min(AT_ONCE_AT_MOST);
        self.hand_out()
    }

    /// Closes every connection, those in use when they come back.
    pub(crate) fn dispose(&mut self) {
        self.idle = 0;
        self.outdated = self.in_use;
    }

    /// Changes how many connections there may be; what is too much is closed, in use when it comes back.
    pub(crate) fn resize(&mut self, capacity: u32) {
        self.capacity = capacity;
        self.idle = self.idle.min(capacity.saturating_sub(self.in_use));
        self.outdated = self.outdated.max(self.in_use.saturating_sub(capacity));
    }

    /// Those who wait, when the server is gone.
    pub(crate) fn abandon(&mut self) -> VecDeque<u32> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.in_use
    }

    pub(crate) fn idle(&self) -> u32 {
        self.idle
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.len() as u32
    }

    fn hand_out(&mut self) -> Option<u32> {
        let next = self.waiting.pop_front();
        if next.is_some() {
            self.in_use += 1;
        } else {
            self.idle = (self.idle + 1).min(self.capacity.saturating_sub(self.in_use));
        }
        next
    }
}
