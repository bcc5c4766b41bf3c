//! The program as operators meet it: a process, its command line, its settings, its log.

#[cfg(unix)]
mod access_log;
#[cfg(unix)]
mod cli;
#[cfg(all(unix, feature = "cluster"))]
mod cluster;
#[cfg(all(unix, feature = "cluster"))]
mod cluster_config;
#[cfg(all(unix, feature = "otlp"))]
mod collector;
#[cfg(feature = "gateway")]
mod gateway;
#[cfg(all(unix, feature = "gateway"))]
mod haproxy_agent;
mod log;
#[cfg(all(unix, feature = "cluster"))]
mod many_watchers;
#[cfg(all(unix, feature = "otlp"))]
mod otlp;
mod process;
#[cfg(all(unix, feature = "gateway"))]
mod reload;
#[cfg(all(unix, feature = "gateway"))]
mod restart;
#[cfg(unix)]
mod running;
#[cfg(all(unix, feature = "gateway"))]
mod running_gateway;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod shutdown;
#[cfg(all(unix, feature = "gateway"))]
mod sources_behind_the_gate;
#[cfg(unix)]
mod systemd;
mod watch;
