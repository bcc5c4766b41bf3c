//! The lab's own processes on a real PostgreSQL: what the load says and what the server says is one story.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use poolgate_test_postgres::Postgres;
use serde_json::{Value, json};

const USERS: u64 = 20;

/// A process of the lab that ends with this value.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> (Self, BufReader<ChildStdout>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poolgate-bench-lab"));
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        (Self(child), stdout)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn users_who_obey_are_counted_and_served() {
    let postgres = Postgres::start().expect("PostgreSQL");
    let url = postgres.create_database("lab").expect("a database");
    let (_server, mut said) = Process::start(&["server", "--limiter", "poolgate", "--database-url", &url]);
    let address = line(&mut said).strip_prefix("lab server on ").expect("an address").to_owned();
    let plan = json!({
        "target": address, "path": "/work", "seed": 1,
        "habits": { "retries": 2, "requests": 1, "patience": { "secs": 2, "nanos": 0 } },
        "users": USERS, "kind": "poolgate", "heavy_share": 0.0, "rogue_share": 0.0,
        "demand": { "open": { "rate": 50.0, "steps": [{ "seconds": 3, "multiple": 1.0 }] } }, "window": [0, 3],
    });
    let (_load, mut said) = Process::start(&["load", &plan.to_string()]);
    let load: Value = serde_json::from_str(&line(&mut said)).expect("the load's figures");
    let server: Value = serde_json::from_str(&figures(&address)).expect("the server's figures");

    let sum = |list: &Value, field: &str| -> u64 {
        list.as_array().expect("a list").iter().filter_map(|entry| entry[field].as_u64()).sum()
    };
    let (wanted, sent) = (sum(&load["seconds"], "wanted"), sum(&load["seconds"], "sent"));
    // 150 are expected; 60 are nine standard deviations fewer.
    assert!(wanted > 60, "{wanted} wanted");
    assert!(sent >= wanted, "nothing is limited: {sent} sent of {wanted} wanted");
    // The last one may have been on its way when the users left.
    assert!(sent.abs_diff(sum(&server["slots"], "arrived")) <= 5, "{sent} sent, {}", server["slots"]);
    assert!(load["served_in_time"].as_u64() > Some(0), "{load}");
    let live =
        server["readings"].as_array().expect("readings").iter().filter_map(|reading| reading["clients"].as_u64());
    assert_eq!(live.max(), Some(USERS), "each user has an event stream");
    assert_eq!(load["users"].as_array().map(Vec::len), Some(20));
}

#[test]
fn no_process_outlives_its_parent() {
    let plan = json!({
        "target": "127.0.0.1:1", "path": "/work", "seed": 1,
        "habits": { "retries": 2, "requests": 1, "patience": { "secs": 2, "nanos": 0 } },
        "users": 1, "kind": "plain", "heavy_share": 0.0, "rogue_share": 0.0,
        "demand": { "closed": { "seconds": 600 } }, "window": [0, 1],
    });
    let (mut load, mut said) = Process::start(&["load", &plan.to_string()]);
    drop(load.0.stdin.take());
    // Its output ends when it does.
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("its output");
    assert_eq!(load.0.wait().expect("ended").code(), Some(0), "{rest}");
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

fn figures(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    write!(stream, "GET /figures HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}
