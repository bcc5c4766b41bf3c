//! The transport's [`Plan`] for JavaScript.

use wasm_bindgen::prelude::*;

use crate::{
    plan::{Action, Mode, Plan},
    time::{from_ms, or_never},
};

/// Says when to open the event stream and when to ask for the config. Every time is in milliseconds since any moment;
/// `chance` is a random number from 0 to 1.
#[wasm_bindgen]
#[derive(Debug)]
pub struct TransportPlan(Plan);

#[wasm_bindgen]
impl TransportPlan {
    /// `mode`: stream and polling (0), the stream alone (1), polling alone (2). `streams`: the host has event streams.
    #[wasm_bindgen(constructor)]
    pub fn new(mode: u8, streams: bool, poll_interval_ms: f64) -> Self {
        let mode = match mode {
            0 => Mode::Auto,
            1 => Mode::Sse,
            _ => Mode::Poll,
        };
        Self(Plan::new(mode, streams, from_ms(poll_interval_ms)))
    }

    /// Looks for news from now on.
    pub fn lead(&mut self, now: f64) {
        self.0.lead(from_ms(now));
    }

    /// Leaves it to another client of this browser.
    pub fn follow(&mut self) {
        self.0.follow();
    }

    /// That client has news.
    pub fn heard_of(&mut self, now: f64) {
        self.0.heard_of(from_ms(now));
    }

    /// The next thing to do, until it gives 0: open the stream (1), close it (2), ask for the config (3).
    pub fn next(&mut self, now: f64, chance: f64) -> u8 {
        match self.0.next(from_ms(now), chance) {
            None => 0,
            Some(Action::OpenStream) => 1,
            Some(Action::CloseStream) => 2,
            Some(Action::Poll) => 3,
        }
    }

    /// When [`next`](Self::next) has something again.
    pub fn next_deadline(&self) -> f64 {
        or_never(self.0.next_deadline())
    }

    /// The stream delivered something. `enforced`: limits act.
    pub fn heard(&mut self, enforced: bool, now: f64) {
        self.0.heard(enforced, from_ms(now));
    }

    /// The stream broke, or never began.
    pub fn stream_lost(&mut self, now: f64, chance: f64) {
        self.0.stream_lost(from_ms(now), chance);
    }

    /// The server ended the stream in order.
    pub fn stream_ended(&mut self, now: f64, chance: f64) {
        self.0.stream_ended(from_ms(now), chance);
    }

    /// The server says within which time to come back when the stream is over.
    pub fn return_within(&mut self, time_ms: f64) {
        self.0.return_within(from_ms(time_ms));
    }

    /// The server was asked; `poll_after_seconds` is what its config says about the next time.
    pub fn polled(&mut self, answered: bool, poll_after_seconds: Option<u32>, now: f64, chance: f64) {
        let interval = poll_after_seconds.map(|seconds| from_ms(f64::from(seconds) * 1000.0));
        self.0.polled(answered, interval, from_ms(now), chance);
    }

    /// There is news that this client does not have: ask soon.
    pub fn fetch_soon(&mut self, now: f64, chance: f64) {
        self.0.fetch_soon(from_ms(now), chance);
    }

    /// The page is not looked at any more.
    pub fn hidden(&mut self, now: f64) {
        self.0.hidden(from_ms(now));
    }

    /// The page is looked at again, or the network is back.
    pub fn shown(&mut self, now: f64) {
        self.0.shown(from_ms(now));
    }

    /// Nothing more to do.
    pub fn end(&mut self) {
        self.0.end();
    }

    /// How the client learns of configs: not yet or no more (0), by the stream (1), by asking (2), by another client (3).
    #[wasm_bindgen(getter)]
    pub fn kind(&self) -> u8 {
        if self.0.is_streaming() {
            1
        } else if !self.0.is_informed() {
            0
        } else if self.0.is_following() {
            3
        } else {
            2
        }
    }
}
