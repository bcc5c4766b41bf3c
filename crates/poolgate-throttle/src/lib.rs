//! Decides in a client which request starts when: a [`Throttle`] obeys the server's config, on behalf of one browser
//! or service. It is a state machine without clock, I/O, randomness or panics; it sends nothing itself. The shell
//! around it owns the requests, the timer and the connection to the server.
//!
//! # The run loop
//!
//! 1. Measure time as a [`Duration`](std::time::Duration) since any moment of your choice and pass it as `now` to every
//!    call. A clock that jumps back is taken to stand still.
//! 2. Whatever you hear about the config, tell [`Throttle::configure`]: documents, response headers, heartbeats,
//!    failures to reach the route. Before the first one everything passes.
//! 3. [`Throttle::submit`] each request. Send it at once if it may [`Start`](Submitted::Start); keep it under its id
//!    if it is [`Queued`](Submitted::Queued).
//! 4. When a request has ended, however it did, [`Throttle::complete`] its permit, exactly once. When the app gives
//!    up a queued one, [`Throttle::abort`] it; it has spent nothing.
//! 5. After each of these calls, call [`Throttle::poll`] until it answers `None`, and act on each [`Event`].
//! 6. Then set one timer to [`Throttle::next_wakeup`], replacing the last one; when it fires, go to 5. `None`: no
//!    timer.
//!
//! [`Throttle::state`] may be read at any time. To survive a reload, store [`Throttle::savings`] and
//! [restore](Throttle::restore) them in the next throttle. Several throttles can act as one client, each with its
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
//! | `enforced: true` with a fair rate | also: that rate, `max_concurrent_requests` |
//! | `enforced: true` without one | also: the six fields literally (rate, starts within any 60 s, spacing, in flight) |
//! | the config outlived `ttl_seconds` | the same limits, on their way to the NORMAL row |
//!
//! - **Stale**: past `ttl_seconds` limits move to 10 in flight, 100 a minute, 100 ms with a half-life of 10 s, and
//!   are released as soon as gated requests succeed [without the header](News::HeaderMissing). Limits that were not
//!   enforced have nothing to move. An open verdict becomes one probe.
//! - **Rate**: a token bucket, a quarter of a second of the rate deep, at least 1.5 tokens. A start costs U(0.5, 1.5) tokens.
//!   When a rate comes into force the first fill is U(0, 1) of what the next start costs, as if the rate had been in force
//!   for long: all clients together start as many requests in the first moment as in any other. A client that has been
//!   there for less than 1 / rate has earned less, but 10 s count in any case. A change
//!   of rate keeps the used share of the bucket; it runs on through a release, so that a short one does not refill
//!   it. [`Savings`] carry it, and a pause, across a reload.
//! - **Queue**: bounded ([`Settings::max_queue`]); a full one sheds whoever would start last, which may be the
//!   newcomer. Each request waits at most its [`Request::queue_timeout`]. Order: [`Priority`], then arrival, under
//!   overload the newest first ([`Settings::order`]); lower priorities get a share all the same
//!   ([`Priority::patience`]). [`State::eta`] says how long a wait will be where that can be known.
//! - **Pause**: the gate's `Retry-After` holds everything back for that long and up to half as long again, at most 60
//!   s; a shorter one does not shorten a longer one. It does not act while a fresh config has a fair rate in force and the
//!   breaker is closed: the server then says by its rate how fast to go. What limiters of single routes say is the matter
//!   of [`RouteLimits`].
//! - **Retries**: [`Throttle::retry`] grants a request that failed another attempt, to all of them together a tenth of
//!   the requests, and none above MODERATE or while the breaker is not closed.
//! - **Breaker**: the server's verdict, and local evidence: five requests in a row without contact, over at least 1 s
//!   and within 60 s, [ask](Event::Ask) the server, and open it where that gives no answer either. One probe after 1 s, then
//!   after U(0, 2 s), U(0, 4 s) … U(0, 60 s); any answer closes it. A probe without an answer counts as failed after 10 s.
//!   While it is open what waits and what comes is rejected. When the server lets a share of its clients probe, each of them
//!   sends one request at a time. A verdict that stays open is probed by each client all the same, U(0, 10 s) after the
//!   server's `retry_after_seconds`, then after U(0, 20 s) … U(0, 60 s): other servers may be well.
//! - **Order of configs**: of one epoch the higher version wins wherever it came from. Several epochs are several servers
//!   behind one name, or one that has started again. The first word of another epoch replaces the one before, unless its
//!   breaker is not closed. Where both go on to be heard, the one that allows the most is obeyed, until its config is stale
//!   or others have been heard eight times without it; a pause of one of them holds nothing back that another one takes.
//!   See [`Configured`].
//!
//! A request that [bypasses](Request::bypass) is not limited and not counted, but what becomes of it is evidence.

#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")
)]

mod breaker;
mod bucket;
mod eta;
mod event;
mod lease;
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
pub use request::{Outcome, Permit, Priority, RejectReason, Rejection, Request, RequestId, Submitted};
pub use retries::Backoff;
pub use routes::{Quota, RouteLimits, RouteSignal};
pub use savings::Savings;
pub use settings::{Order, Settings};
pub use share::Share;
pub use state::State;
pub use throttle::Throttle;
