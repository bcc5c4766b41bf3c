//! An async front for the [throttle](poolgate_throttle): an app asks to send a request and gets a [`Ticket`], a place in
//! the queue that becomes one, or a rejection.
//!
//! The front has no executor, timer, clock or HTTP library. Those differ between a browser and a native program, so the
//! client around it brings them. All types are `Send + Sync`.
//!
//! # What a client does
//!
//! 1. Make a [`Front`] with a clock: a function that says how much time has passed since any moment.
//! 2. For each request call [`Front::ask`]. Await [`Waiting`] where it is queued. Send with the [`Ticket`] in hand.
//! 3. When the server has answered, read the answer's [`Head`] and call [`Ticket::finish`]. When it has not, call
//!    [`Ticket::complete`]. A ticket that is dropped completes as aborted.
//! 4. Pass everything that the config route or the event stream says to [`Front::hear`].
//! 5. Run one driver beside the requests. It sleeps until [`Front::next_wakeup`] and then calls [`Front::poll`]; after each
//!    [`Front::changed`] it asks for the wake-up again, and fetches the config if [`Front::config_is_due`].
//!
//! A client whose config arrives over an event stream or by polling may let a [`transport::Plan`] decide which, and when.
//!
//! ```
//! use std::{
//!     future::Future,
//!     pin::pin,
//!     sync::{
//!         Arc,
//!         atomic::{AtomicU64, Ordering::Relaxed},
//!     },
//!     task::{Context, Poll, Waker},
//!     time::Duration,
//! };
//!
//! use poolgate_front::{Asked, Calendar, Front, Head};
//! use poolgate_throttle::{News, Request, Settings};
//! use poolgate_types::{ConfigVersion, ThrottlingConfig};
//!
//! // Virtual time. A native program passes the time since an `Instant`, a page `performance.now()`.
//! let millis = Arc::new(AtomicU64::new(0));
//! let clock = { let millis = Arc::clone(&millis); move || Duration::from_millis(millis.load(Relaxed)) };
//! let front = Front::new(Settings::default(), 42, clock);
//!
//! // The server allows one request at a time.
//! let config = ThrottlingConfig {
//!     enforced: true,
//!     fair_rate_per_second: Some(100.0),
//!     max_concurrent_requests: 1,
//!     ..ThrottlingConfig::normal(ConfigVersion { epoch: 1, version: 1 })
//! };
//! front.hear(&News::Config(config));
//! millis.store(1000, Relaxed);
//!
//! let Asked::Start(first) = front.ask(Request::default()) else { panic!("nothing is in flight") };
//! let Asked::Queued(second) = front.ask(Request::default()) else { panic!("one is in flight") };
//! let mut second = pin!(second);
//! let mut context = Context::from_waker(Waker::noop());
//! assert!(second.as_mut().poll(&mut context).is_pending());
//!
//! // The answer to the first: 200, with no word about the config.
//! millis.store(2000, Relaxed);
//! # struct Never;
//! # impl Calendar for Never {
//! #     fn today(&self) -> Duration { Duration::ZERO }
//! #     fn read(&self, _date: &str) -> Option<Duration> { None }
//! # }
//! first.finish(&Head::read(200, |_| None::<&str>, &Never), false);
//! assert!(matches!(second.poll(&mut context), Poll::Ready(Ok(_ticket))));
//! ```

mod front;
mod head;
mod retry_after;
mod state;
mod ticket;
pub mod transport;

pub use self::{
    front::{Asked, Front},
    head::{Head, is_the_gates},
    retry_after::Calendar,
    ticket::{Ticket, Waiting},
};
