//! The soak: the real `poolgate` program runs for a long time on a private PostgreSQL, directly and behind PgBouncer, with
//! random faults and with obeying, plain, slow and hostile clients at once. `cargo xtask soak` runs it.
//!
//! A run is a [`course`] of phases: the honest clients alone, then all clients with the faults of a [`schedule`], then
//! none. Each way to the database is a [`lane`] of its own, with its own [`stage`] and [`clients`]; lanes run side by
//! side. [`tally`] and [`ledger`] record the clients' outcomes, [`vitals`] and [`logs`] the program's health; [`verdict`]
//! judges them, [`report`] and [`plot`] show them.

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
