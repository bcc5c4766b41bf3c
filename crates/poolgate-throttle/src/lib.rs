//! Decides when each request of a client starts. A [`Throttle`] obeys the server's config for one browser or service.
//! It is a state machine without clock, I/O, external randomness or panics, and it sends nothing itself. Its host owns
//! the requests, the timer and the connection to the server.
//!
//! # The run loop
//!
//! 1. Measure time as a [`Duration`](std::time::Duration) since a fixed moment of your choice and pass it as `now` to
//!    every call. If the clock jumps back, the throttle treats it as standing still.
//! 2. Pass all news about the config to [`Throttle::configure`]: documents, response headers, heartbeats, failures to
//!    reach the route. Before the first news all requests pass.
//! 3. [`Throttle::submit`] each request. If it may [`Start`](Submitted::Start), send it at once. If it is
//!    [`Queued`](Submitted::Queued), keep it under its id.
//! 4. When a request has ended, [`Throttle::complete`] its permit exactly once, also after an error. When the app gives
//!    up a queued request, [`Throttle::abort`] it; that costs nothing.
//! 5. After each of these calls, call [`Throttle::poll`] until it returns `None`, and act on each [`Event`].
//! 6. Then set one timer to [`Throttle::next_wakeup`], replacing the previous one. When it fires, go to step 5. `None`
//!    means that no timer is needed.
//!
//! [`Throttle::state`] may be read at any time. To survive a reload, store [`Throttle::savings`] and
//! [restore](Throttle::restore) them in the next throttle. Several throttles can act as one client if each has a
//! [share](Throttle::set_share) of the limits.
//!
//! ```
//! use std::time::Duration;
//! use poolgate_throttle::{Event, News, Outcome, Request, Settings, Submitted, Throttle};
//! use poolgate_types::{ConfigVersion, Level, ThrottlingConfig};
//!
//! let mut now = Duration::ZERO;
//! let mut throttle = Throttle::new(Settings::default(), 42);
//!
//! // The server allows two requests a second, one at a time.
//! let config = ThrottlingConfig {
//!     throttling_level: Level::Moderate,
//!     enforced: true,
//!     fair_rate_per_second: Some(2.0),
//!     max_concurrent_requests: 1,
//!     ..ThrottlingConfig::normal(ConfigVersion { epoch: 1, version: 1 })
//! };
//! let _ = throttle.configure(&News::Config(config), now)?;
//!
//! let (mut started, mut queued) = (0, 0);
//! for _ in 0..10 {
//!     match throttle.submit(Request::default(), now) {
//!         Submitted::Start(permit) => {
//!             started += 1;
//!             throttle.complete(permit, Outcome::Success, now); // in real life: when the answer is there
//!         }
//!         Submitted::Queued(_id) => queued += 1,
//!         Submitted::Rejected(rejection) => panic!("{rejection:?}"),
//!     }
//! }
//! assert_eq!(started + queued, 10);
//! assert!(queued >= 8, "the budget is a token or two at first");
//!
//! // Virtual time: go straight to the next wake-up instead of waiting for it.
//! loop {
//!     while let Some(event) = throttle.poll(now) {
//!         match event {
//!             Event::Start(_id, permit) => {
//!                 started += 1;
//!                 throttle.complete(permit, Outcome::Success, now);
//!             }
//!             Event::Rejected(id, rejection) => panic!("{id:?}: {rejection:?}"),
//!             _ => {} // the level changed from NORMAL to MODERATE
//!         }
//!     }
//!     let Some(wakeup) = throttle.next_wakeup() else { break };
//!     now = wakeup;
//! }
//! assert_eq!(started, 10);
//! assert!(now > Duration::from_secs(3) && now < Duration::from_secs(8), "{now:?}");
//! # Ok::<(), poolgate_throttle::InvalidConfig>(())
//! ```
//!
//! # What acts when
//!
//! | state | what acts |
//! |---|---|
//! | no config yet, [not found](News::NotFound), [closed](News::Closed) | nothing: requests pass through |
//! | `enforced: false` | breaker and pauses |
//! | `enforced: true` with a fair rate | the above, that rate, `max_concurrent_requests` |
//! | `enforced: true` without a fair rate | the above, the six fields literally (rate, starts within any 60 s, spacing, in flight) |
//! | the config is older than `ttl_seconds` | the same limits, decaying to the NORMAL row |
//!
//! - **Stale**: after `ttl_seconds` the limits decay to 10 in flight, 100 a minute, 100 ms with a half-life of 10 s.
//!   They are released as soon as gated requests succeed [without the header](News::HeaderMissing). Limits that were
//!   not enforced do not decay. An open verdict becomes one probe.
//! - **Rate**: a token bucket that holds the tokens of 250 ms, at least 1.5. A start costs U(0.5, 1.5) tokens. When a
//!   rate comes into force, the bucket holds between nothing and the price of the next start, as if the rate had been
//!   in force for a long time, so that all clients together start as many requests in the first moment as in any other.
//!   A client younger than 1 / rate gets less, but an age of at least 10 s is assumed. A change of rate keeps the used
//!   share of the bucket. The bucket also fills while no rate is in force, so that a short release does not refill it.
//!   [`Savings`] carry the bucket, and a pause, across a reload.
//! - **Queue**: bounded by [`Settings::max_queue`]. A full queue sheds the request that would start last, which may be
//!   the new one. Each request waits at most its [`Request::queue_timeout`]. Order: [`Priority`], then arrival, or the
//!   newest first under overload ([`Settings::order`]). Lower priorities still get a share ([`Request::priority`]).
//!   [`State::eta`] predicts the wait where it is predictable.
//! - **Pause**: the gate's `Retry-After` holds all requests back for that time plus up to half of it, at most 60 s, times the
//!   share of the answers of about the last second that were rejections. A shorter pause does not shorten a longer one. It
//!   does not act while a fresh config has a fair rate in force and the
//!   breaker is closed, because the rate already tells the client how fast to send. [`RouteLimits`] handle the limiters
//!   of single routes.
//! - **Retries**: [`Throttle::retry`] grants a failed request another attempt. All retries together are at most a tenth
//!   of the requests, and none is granted above MODERATE or while the breaker is not closed.
//! - **Breaker**: combines the server's verdict and local evidence. After five requests in a row without contact, over
//!   at least 1 s and at most 60 s, the throttle [asks](Event::Ask) the server, and opens if that gets no answer
//!   either. It probes after 1 s, then after U(0, 2 s), U(0, 4 s) … U(0, 60 s); any answer closes it. A probe without
//!   an answer fails after 10 s. While the breaker is open, queued and new requests are rejected. If the server lets a
//!   share of its clients probe, each of them sends one request at a time. If the server's verdict stays open, each
//!   client still probes, U(0, 10 s) after the server's `retry_after_seconds`, then after U(0, 20 s) … U(0, 60 s),
//!   because other servers may be healthy.
//! - **Order of configs**: within one epoch the higher version wins, whichever way it arrived. Several epochs mean
//!   several servers behind one name, or a server that has restarted. The first config of another epoch replaces the
//!   previous one unless its breaker is not closed. If both epochs keep arriving, the client obeys the one that allows
//!   the most, until its config is stale or until eight messages of others have arrived without it. A pause asked for
//!   by one server does not act while another server takes requests. See [`Configured`].
//!
//! A request with [`Request::bypass`] is neither limited nor counted, but its outcome is evidence for the breaker.

#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")
)]

mod breaker;
mod bucket;
mod eta;
mod event;
mod held_config;
mod limits;
mod news;
mod pause;
mod queue;
mod request;
mod retries;
mod routes;
mod savings;
mod servers;
mod settings;
mod share;
mod spacing;
mod span;
mod stale;
mod state;
mod throttle;

pub use eta::Eta;
pub use event::Event;
pub use limits::Limits;
pub use news::{Configured, InvalidConfig, News};
pub use poolgate_types::Priority;
pub use request::{Outcome, Permit, RejectReason, Rejection, Request, RequestId, Submitted};
pub use retries::Backoff;
pub use routes::{Quota, RouteLimits, RouteSignal};
pub use savings::Savings;
pub use settings::{Order, Settings};
pub use share::Share;
pub use state::State;
pub use throttle::Throttle;
