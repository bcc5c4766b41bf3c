//! A model of a connection pool: connections take time to open, and admitted requests wait for them.

use std::{collections::VecDeque, time::Duration};

use crate::{random::seconds, scenario::Database as Settings};

/// Connections that may be opening at the same time at first; each success raises the number by one, as in the real pool.
const AT_ONCE_AT_FIRST: u32 = 4;
const AT_ONCE_AT_MOST: u32 = 16;

/// The pool between the gate and the database.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The most connections that may be open.
    capacity: u32,
    /// The most connections that the database server accepts.
    room: u32,
    connect_time: Duration,
    /// Connections are opened before a request needs them.
    ahead: bool,
    /// Open and unused.
    idle: u32,
    in_use: u32,
    /// Of those in use, how many are closed when they come back.
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

    /// The pool of a server in a cluster: it has no connection and may have none yet.
    pub(crate) fn empty(settings: &Settings) -> Self {
        Self { capacity: 0, idle: 0, ..Self::new(settings) }
    }

    /// A request asks for a connection. Returns whether it has one; otherwise it waits.
    pub(crate) fn acquire(&mut self, request: u32) -> bool {
        if self.idle == 0 {
            self.waiting.push_back(request);
            return false;
        }
        self.idle -= 1;
        self.in_use += 1;
        true
    }

    /// A connection comes back. Returns the request that gets it.
    pub(crate) fn release(&mut self) -> Option<u32> {
        self.in_use -= 1;
        if self.outdated > 0 {
            self.outdated -= 1;
            return None;
        }
        self.hand_out()
    }

    /// Number of connections that begin to open now; report each as [`connected`](Self::connected) after
    /// [`connect_time`](Self::connect_time).
    pub(crate) fn connects(&mut self) -> u32 {
        let room = self.capacity.min(self.room).saturating_sub(self.holds());
        let waiting = (self.waiting.len() as u32).saturating_sub(self.connecting);
        let wanted = if self.ahead { room } else { waiting.min(room) };
        let begun = wanted.min(self.at_once.saturating_sub(self.connecting));
        self.connecting += begun;
        begun
    }

    pub(crate) fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// A connection is open. Returns the request that gets it.
    pub(crate) fn connected(&mut self) -> Option<u32> {
        self.connecting -= 1;
        self.at_once = (self.at_once + 1).min(AT_ONCE_AT_MOST);
        // The pool may have become smaller meanwhile.
        if self.idle + self.in_use < self.capacity { self.hand_out() } else { None }
    }

    /// Closes every connection, those in use when they come back.
    pub(crate) fn dispose(&mut self) {
        self.idle = 0;
        self.outdated = self.in_use;
    }

    /// Changes the most connections that may be open. Surplus ones are closed, those in use when they come back.
    pub(crate) fn resize(&mut self, capacity: u32) {
        self.capacity = capacity;
        self.idle = self.idle.min(capacity.saturating_sub(self.in_use));
        self.outdated = self.outdated.max(self.in_use.saturating_sub(capacity));
    }

    /// The server is gone: returns the requests that waited.
    pub(crate) fn abandon(&mut self) -> VecDeque<u32> {
        std::mem::take(&mut self.waiting)
    }

    /// Connections that it has, those being opened included.
    pub(crate) fn holds(&self) -> u32 {
        self.idle + self.in_use + self.connecting
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
