//! Many replicas, one database: who is there, and how many connections each replica may have. Pure, like the rest of
//! the crate: a [`Replica`] is told what it read from a store and from the database, and says what to write.
//!
//! # The invariant
//!
//! All replicas together never have more connections than the budget, also while replicas join, crash, pause or are cut
//! off, and at any time of the clocks, as long as the clocks' rates differ by at most a fifth and no more than
//! [`Settings::max_replicas`] processes live at the same time.
//!
//! # How it is kept
//!
//! 1. The store holds one [`Ledger`]: for each replica a **grant**, what it may have, and a **claim**, what it may still
//!    have. A claim is never below the grant. It falls only when the replica itself reports that it has taken in the
//!    smaller grant and given connections back, or when the database has shown for long that none of its connections is
//!    left. All claims, and one connection for each replica that may still come, never exceed the budget. So a grant
//!    grows only into what others have given up.
//! 2. Any replica may write the next ledger. It is computed by one function from what can be read, and written only if
//!    the ledger has not changed since (compare and set).
//! 3. A replica that does not reach the store any more keeps its claim, and fences itself by its own clock: from then on
//!    it opens nothing beyond the [safe share](Settings::safe_share), budget / `max_replicas`, and gives back what it has
//!    above.
//! 4. The database itself is the last arbiter: its list of connections, the [`Census`], shows replicas that the ledger
//!    does not know. While there is one, no replica opens more than the safe share. Without a store for long, a replica
//!    below its safe share may grow into what the census shows to be free, one connection at a time.
//!
//! A store that was emptied forgets the ledger. The next one is written only after every replica must have noticed,
//! from the claims that replicas report and that the census shows.
//!
//! # One config
//!
//! Each row carries figures, and [`SharedLaw`] runs on the sum of all. One replica publishes. The store takes
//! a config only in place of the one that its writer has read, so two that begin at the same moment begin one epoch; and
//! what was read back from it is served. A replica that has not heard the others says nothing, and one that
//! does not reach the store speaks for itself. [`Peers`] is what a server needs of this.
//!
//! # Times
//!
//! All follow from [`Settings::ttl`]; each process measures them with its own monotonic clock, and no process reads the
//! time of another one.

mod audience;
mod census;
mod division;
mod exchange;
mod fence;
mod ledger;
mod memory_store;
mod peers;
mod publisher;
mod replica;
mod roster;
mod row;
mod settings;
mod shared_law;
mod sums;

pub use audience::{Audience, Crowds, Elsewhere, InvalidSketch, Sketch};
pub use census::Census;
pub use exchange::{Exchange, Seen};
pub use ledger::{Entry, Ledger};
pub use memory_store::MemoryStore;
pub use peers::{Own, Peers, Said};
pub use publisher::NEWCOMERS_SILENCE;
pub use replica::{Member, Mode, Part, Replica, View};
pub use row::{Gauges, InvalidReplicaId, ReplicaId, Row, State, Totals};
pub use settings::{InvalidSettings, Settings};
pub use shared_law::SharedLaw;
pub use sums::Sums;
