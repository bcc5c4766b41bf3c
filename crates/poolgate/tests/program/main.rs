//! The program as operators meet it: a process, its command line, its settings, its log.

#[cfg(unix)]
mod cli;
#[cfg(feature = "gateway")]
mod gateway;
mod harness;
mod log;
#[cfg(unix)]
mod secrets;
mod watch;
