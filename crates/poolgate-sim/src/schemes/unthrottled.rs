//! A browser without a throttle.

use std::time::Duration;

use crate::{
    random::Random,
    scheme::{Client, Message, Outcome, Verdict},
};

/// Sends every request at once and ignores what the server says.
#[derive(Clone, Copy, Debug)]
pub struct Unthrottled;

impl Client for Unthrottled {
    fn submit(&mut self, _request: u32, _now: Duration) -> Verdict {
        Verdict::Start
    }

    fn abort(&mut self, _request: u32, _now: Duration) {}

    fn complete(&mut self, _request: u32, _outcome: Outcome, _now: Duration) {}

    fn hear(&mut self, _message: &Message, _now: Duration) {}

    fn poll(&mut self, _now: Duration) -> Option<(u32, Verdict)> {
        None
    }

    fn next_wakeup(&self) -> Option<Duration> {
        None
    }

    fn waiting(&self) -> usize {
        0
    }

    fn reload(&mut self, _random: &mut Random, _now: Duration) {}
}
