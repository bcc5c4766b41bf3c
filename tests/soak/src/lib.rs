//! The soak: the real `poolgate` program on a private PostgreSQL, directly and behind PgBouncer, for a long time, among
//! faults drawn at random, with obeying, plain, slow and hostile clients at once. `cargo xtask soak` runs it.
//!
//! A run is a [`course`] of phases: the honest clients alone, then everybody with the faults of a [`schedule`], then
//! nobody. Each way to the database is a [`lane`] of its own, with its own [`stage`] and [`clients`]; lanes run side by
//! side. What the clients met is in [`tally`] and [`ledger`], how the program was in [`vitals`] and [`logs`]; [`verdict`]
//! says what that means, [`report`] and [`plot`] show it.

pub mod clients;
pub mod course;
pub mod faults;
pub mod lane;
pub mod ledger;
pub mod logs;
pub mod plot;
pub mod report;
pub mod schedule;
pub mod stage;
pub mod tally;
pub mod verdict;
pub mod vitals;
