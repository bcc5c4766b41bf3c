//! What systemd hears of the program.

use std::{
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::process::Running;

/// Longer than a start takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the program has said, message by message, until `enough` holds.
fn heard(socket: &UnixDatagram, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let (begun, mut said) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    while !enough(&said) {
        assert!(begun.elapsed() < PATIENCE, "{said:?}");
        if let Ok(length) = socket.recv(&mut buffer) {
            said.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
    }
    said
}

fn count(said: &[String], line: &str) -> usize {
    said.iter().filter(|heard| *heard == line).count()
}

/// The time that systemd compares with, in microseconds.
fn monotonic() -> u64 {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(uptime).expect("after the start").as_micros().try_into().expect("no overflow")
}

#[test]
fn systemd_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    let settings = folder.path().join("poolgate.toml");
    std::fs::write(&settings, "[database]\nurl = \"sqlite::memory:\"\n").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate"));
    command.args(["serve", "--port", "0", "--config"]).arg(&settings).env_remove("DATABASE_URL");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000").stderr(Stdio::null());
    let server = Running::spawn(&mut command);

    let said = heard(&socket, |said| count(said, "READY=1") == 1);
    assert_eq!(said, ["READY=1"], "ready first of all");
    let begun = Instant::now();
    let said = heard(&socket, |said| count(said, "WATCHDOG=1") == 4);
    assert!(begun.elapsed() < Duration::from_secs(4), "twice as often as asked for: {:?}", begun.elapsed());
    assert!(said.contains(&"STATUS=NORMAL, 0 of 30 connections in use".to_owned()), "{said:?}");

    let before = monotonic();
    server.signal("HUP");
    let begun = Instant::now();
    let said = heard(&socket, |said| count(said, "READY=1") == 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "reloaded after {:?}", begun.elapsed());
    let reloading = said.iter().position(|line| line == "RELOADING=1").expect("announced");
    let ready = said.iter().position(|line| line == "READY=1").expect("heard");
    assert!(reloading < ready, "{said:?}");
    let at = said.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("when it was announced");
    assert!((before..=monotonic()).contains(&at.parse().expect("a number")), "{at}");

    server.signal("TERM");
    let said = heard(&socket, |said| count(said, "STOPPING=1") == 1);
    assert_eq!(count(&said, "READY=1"), 0, "once");
}
