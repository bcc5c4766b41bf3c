//! The access log, as a reader of standard output gets it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::{Data, PATIENCE, Running, poolgate};

/// A server whose standard output goes to a file.
struct Logged {
    running: Running,
    stdout: PathBuf,
    _data: Data,
}

impl Logged {
    fn demo(format: &str) -> Self {
        let data = Data::new();
        let stdout = data.path().join("stdout");
        let mut command = poolgate(&["--demo", "--port", "0", "--database-url", &data.url()]);
        command.env("POOLGATE_SERVER__ACCESS_LOG", format).stderr(Stdio::null());
        let child = command.stdout(File::create(&stdout).expect("a file")).spawn().expect("started");
        let begun = Instant::now();
        let address = loop {
            let text = fs::read_to_string(&stdout).expect("a file");
            if let Some((line, _)) = text.split_once('\n') {
                break line.strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        };
        let logged = Self { running: Running { child, address }, stdout, _data: data };
        logged.running.await_ready();
        logged
    }

    /// The answer to a request with these fields.
    fn ask(&self, target: &str, fields: &str) -> String {
        let mut stream = TcpStream::connect(&self.running.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let end = "Connection: close\r\n\r\n";
        write!(stream, "{target} HTTP/1.1\r\nHost: {}\r\n{fields}{end}", self.running.address).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    /// All lines, once the server has stopped.
    fn stop(mut self) -> Vec<String> {
        self.running.signal("TERM");
        self.running.child.wait().expect("it ends");
        fs::read_to_string(&self.stdout).expect("a file").lines().skip(1).map(str::to_owned).collect()
    }

    /// Waits until a line holds this.
    fn eventually(&self, part: &str) {
        let begun = Instant::now();
        while !fs::read_to_string(&self.stdout).expect("a file").contains(part) {
            assert!(begun.elapsed() < PATIENCE, "no line with {part}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn each_request_is_an_object_with_its_waits_and_an_id() {
    let logged = Logged::demo("json");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fields = format!(
        "X-Request-Id: shop-17\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nUser-Agent: \"till\\\" 1\r\n\
         X-Forwarded-For: 192.0.2.1\r\n"
    );
    let answer = logged.ask("GET /api/v1/lab/hold?hold_ms=80", &fields);
    assert!(answer.contains("x-request-id: shop-17\r\n"), "{answer}");
    let made = logged.ask("GET /api/v1/nothing", "X-Request-Id: a b\r\n");
    assert_eq!(logged.running.status("/livez"), Some(200));
    logged.ask("HEAD /api/v1/health/database/throttling-config", "");
    // This client leaves while it is served.
    let shows = |in_flight: &str| {
        let begun = Instant::now();
        while !logged.running.get("/api/v1/health/database/status").contains(in_flight) {
            assert!(begun.elapsed() < Duration::from_secs(4), "{in_flight} is not shown");
            thread::sleep(Duration::from_millis(20));
        }
    };
    // The status may still show the first request.
    shows("\"in_flight\":0");
    let leaving = logged.running.open("/api/v1/lab/hold?hold_ms=5000");
    shows("\"in_flight\":1");
    drop(leaving);
    logged.eventually("\"complete\":false");

    let lines = logged.stop();
    assert!(lines.iter().all(|line| !line.contains("hold_ms") && !line.contains("livez")), "{lines:#?}");
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let find = |path: &str| lines.iter().filter(|line| line["path"] == path).cloned().collect::<Vec<_>>();
    let hold = find("/api/v1/lab/hold");
    let [whole, left] = &hold[..] else { panic!("two lines: {hold:#?}") };
    assert_eq!((&whole["request_id"], &whole["trace_id"]), (&"shop-17".into(), &trace.into()));
    // The peer is no trusted proxy.
    assert_eq!((&whole["remote"], &whole["user_agent"]), (&"127.0.0.1".into(), &"\"till\\\" 1".into()));
    assert_eq!((&whole["method"], &whole["status"], &whole["gate"]), (&"GET".into(), &200.into(), &"admitted".into()));
    let number = |name: &str| whole[name].as_f64().unwrap_or_else(|| panic!("{name}: {whole}"));
    assert!((80.0..10_000.0).contains(&number("duration_ms")), "{whole}");
    assert!(number("gate_wait_ms") < 80.0 && number("acquire_wait_ms") < number("duration_ms"), "{whole}");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    assert_eq!((&whole["bytes"], &whole["complete"]), (&body.len().into(), &true.into()));
    assert!(whole["time"].as_str().is_some_and(|time| time.len() == "2026-12-02T06:50:00.123Z".len()), "{whole}");
    assert_eq!((&left["status"], &left["complete"]), (&Value::Null, &false.into()));

    let nothing = &find("/api/v1/nothing")[0];
    let id = nothing["request_id"].as_str().expect("an id");
    assert!(id.len() == 16 && made.contains(&format!("x-request-id: {id}\r\n")), "{nothing} {made}");
    assert_eq!((&nothing["status"], &nothing["gate"]), (&404.into(), &Value::Null));
    let head = &find("/api/v1/health/database/throttling-config")[0];
    assert_eq!((&head["status"], &head["bytes"], &head["complete"]), (&200.into(), &0.into(), &true.into()));
}

#[test]
fn the_combined_format_is_apaches() {
    let logged = Logged::demo("combined");
    let fields = "Referer: http://shop.example/\"a\r\nUser-Agent: till 1\r\n";
    let answer = logged.ask("GET /api/v1/lab/hold?hold_ms=1", fields);
    let bytes = answer.split_once("\r\n\r\n").expect("a body").1.len();
    let lines = logged.stop();
    let [line] = &lines[..] else { panic!("one line: {lines:#?}") };
    let (begin, end) = line.split_once("] ").expect("a time");
    assert!(begin.starts_with("127.0.0.1 - - [") && begin.ends_with(" +0000"), "{line}");
    let expected = format!(r#""GET /api/v1/lab/hold HTTP/1.1" 200 {bytes} "http://shop.example/\"a" "till 1""#);
    assert_eq!(end, expected);
}

/// A reader that takes nothing costs lines, not requests.
#[test]
fn a_reader_that_stalls_stops_no_request() {
    let data = Data::new();
    let mut command = poolgate(&["--port", "0", "--database-url", &data.url()]);
    command.env("POOLGATE_SERVER__ACCESS_LOG", "json").stderr(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut stdout = child.stdout.take().expect("piped");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("a line");
        line.extend(byte);
    }
    let line = String::from_utf8(line).expect("text");
    let address = line.trim().strip_prefix("Poolgate listening on http://").expect("the ready line").to_owned();
    let running = Running { child, address };
    running.await_ready();
    // More than the pipe and the queue hold.
    let mut stream = TcpStream::connect(&running.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let request = format!("HEAD /api/v1/nothing HTTP/1.1\r\nHost: {}\r\n\r\n", running.address);
    let mut answers = [0; 65_536];
    for _ in 0..200 {
        stream.write_all(request.repeat(100).as_bytes()).expect("sent");
        let mut heads = 0;
        while heads < 100 {
            let read = stream.read(&mut answers).expect("answered");
            assert!(read > 0, "closed");
            heads += String::from_utf8_lossy(&answers[..read]).matches("HTTP/1.1 404").count();
        }
    }
    running.signal("TERM");
    let mut running = running;
    let begun = Instant::now();
    while running.child.try_wait().expect("known").is_none() {
        assert!(begun.elapsed() < PATIENCE, "it does not stop");
        thread::sleep(Duration::from_millis(50));
    }
}
