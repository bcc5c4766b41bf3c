//! Traces, as a collector gets them.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

use crate::{
    collector::{Collector, attribute, hexadecimal},
    process::{Data, PATIENCE, Running, poolgate},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const HOLD: &str = "/api/v1/lab/hold";

/// A server that sends traces.
struct Traced {
    running: Running,
    log: PathBuf,
    _data: Data,
}

impl Traced {
    /// The demo with one permit.
    fn demo(collector: SocketAddr, sample_ratio: &str) -> Self {
        let data = Data::new();
        let log = data.path().join("log");
        let mut command = poolgate(&["--demo", "--port", "0", "--database-url", &data.url()]);
        command.env("POOLGATE_OTLP__ENDPOINT", format!("http://{collector}"));
        command.env("POOLGATE_OTLP__SAMPLE_RATIO", sample_ratio).env("POOLGATE_OTLP__SERVICE_NAME", "shop");
        command.env("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", "1").env("POOLGATE_GATE__TIMEOUT", "20s");
        let running = Running::spawn(command.stderr(File::create(&log).expect("a file")));
        running.await_ready();
        Self { running, log, _data: data }
    }

    /// The answer to a request with these fields.
    fn ask(&self, target: &str, fields: &str) -> String {
        ask(&self.running.address, target, fields)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a file")
    }

    fn eventually_logs(&self, part: &str) {
        let begun = Instant::now();
        while !self.log().contains(part) {
            assert!(begun.elapsed() < PATIENCE, "no line with {part}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ask(address: &str, target: &str, fields: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(stream, "{target} HTTP/1.1\r\nHost: {address}\r\n{fields}Connection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn traceparent(trace: &str, flags: &str) -> String {
    format!("traceparent: 00-{trace}-{PARENT}-{flags}\r\n")
}

/// The spans of a trace: that of the request, and those of its waits by name.
fn parts_of<'a>(spans: &'a [Span], trace: &str) -> (&'a Span, impl Fn(&str) -> Option<&'a Span>) {
    let of_trace: Vec<_> = spans.iter().filter(|span| hexadecimal(&span.trace_id) == trace).collect();
    let requests: Vec<_> = of_trace.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    let [request] = requests[..] else { panic!("one span for one request: {of_trace:#?}") };
    let request = *request;
    let waits = of_trace.into_iter().filter(|span| span.parent_span_id == request.span_id).collect::<Vec<_>>();
    (request, move |name: &str| waits.iter().find(|span| span.name == name).copied())
}

fn milliseconds(span: &Span) -> u64 {
    (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000
}

#[test]
fn a_trace_goes_from_the_request_through_the_gate_to_the_connection() {
    let collector = Collector::start();
    let traced = Traced::demo(collector.address, "0");
    // It holds the only permit, and its caller records nothing.
    let before = thread::spawn({
        let address = traced.running.address.clone();
        move || ask(&address, &format!("GET {HOLD}?hold_ms=1000"), &traceparent(&"1".repeat(32), "00"))
    });
    let begun = Instant::now();
    while !traced.running.get("/api/v1/health/database/status").contains("\"in_flight\":1") {
        assert!(begun.elapsed() < PATIENCE, "it is not in flight");
        thread::sleep(Duration::from_millis(20));
    }
    let fields =
        format!("{}tracestate: shop=1\r\nX-Request-Id: shop-17\r\nUser-Agent: till\r\n", traceparent(TRACE, "01"));
    let answer = traced.ask(&format!("GET {HOLD}?hold_ms=80"), &fields);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(before.join().expect("answered").starts_with("HTTP/1.1 200 "));
    // Not recorded by the caller, and without one the ratio is 0.
    traced.ask("GET /api/v1/nothing", "");
    traced.ask("GET /api/v1/nothing", &traceparent(&"2".repeat(32), "02"));
    let last = "3".repeat(32);
    traced.ask("POST /api/v1/nothing", &format!("Content-Length: 0\r\n{}", traceparent(&last, "01")));

    let spans = collector.eventually("sent", |spans| spans.iter().any(|span| hexadecimal(&span.trace_id) == last));
    let traces: Vec<_> = spans.iter().map(|span| hexadecimal(&span.trace_id)).collect();
    assert!(traces.iter().all(|trace| *trace == TRACE || *trace == last), "{traces:#?}");
    let (request, wait) = parts_of(&spans, TRACE);
    assert_eq!((&*request.name, &*hexadecimal(&request.parent_span_id)), ("GET /api/v1/lab/hold", PARENT));
    assert_eq!(request.trace_state, "shop=1");
    let of = |name| attribute(&request.attributes, name);
    for (name, expected) in [
        ("http.request.method", "GET"),
        ("http.route", HOLD),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("url.path", HOLD),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "till"),
        ("poolgate.request_id", "shop-17"),
        ("poolgate.gate", "admitted"),
        ("poolgate.complete", "true"),
    ] {
        assert_eq!(of(name).as_deref(), Some(expected), "{name}");
    }
    assert!(request.status.as_ref().is_none_or(|status| status.code() == StatusCode::Unset), "{request:#?}");
    let (gate, connection) = (wait("gate wait").expect("a span"), wait("connection wait").expect("a span"));
    // The other request had a second, less what it took to see it.
    assert!((200..=milliseconds(request) - 80).contains(&milliseconds(gate)), "{gate:#?} {request:#?}");
    let times = [
        request.start_time_unix_nano,
        gate.start_time_unix_nano,
        gate.end_time_unix_nano,
        connection.start_time_unix_nano,
        connection.end_time_unix_nano,
        connection.end_time_unix_nano + 80_000_000,
        request.end_time_unix_nano,
    ];
    assert!(times.is_sorted(), "{times:?}");
    // A route that does not exist passes no gate.
    let (nothing, wait) = parts_of(&spans, &last);
    assert_eq!((&*nothing.name, attribute(&nothing.attributes, "http.route")), ("POST", None));
    assert!(wait("gate wait").is_none());

    let messages = collector.messages();
    let resource = messages[0].resource_spans[0].resource.as_ref().expect("a resource");
    let of = |name| attribute(&resource.attributes, name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((of("service.name"), of("service.version")), ("shop".into(), env!("CARGO_PKG_VERSION").into()));
    assert_eq!(of("service.instance.id").len(), 8);
}

#[test]
fn a_rejected_request_is_an_error_and_a_header_that_is_wrong_begins_a_trace() {
    let collector = Collector::start();
    let data = Data::new();
    let url = data.url();
    let mut command = poolgate(&["--demo", "--port", "0", "--database-url", &url]);
    command
        .env("POOLGATE_OTLP__ENDPOINT", format!("http://{}", collector.address))
        .env("POOLGATE_OTLP__SAMPLE_RATIO", "1");
    command.env("POOLGATE_GATE__MAX_CONCURRENT_REQUESTS", "1").env("POOLGATE_GATE__MAX_QUEUE", "0");
    let mut running = Running::spawn(command.stderr(std::process::Stdio::null()));
    running.await_ready();
    let holder = running.open(&format!("{HOLD}?hold_ms=3000"));
    let begun = Instant::now();
    while !running.get("/api/v1/health/database/status").contains("\"in_flight\":1") {
        assert!(begun.elapsed() < PATIENCE, "it is not in flight");
        thread::sleep(Duration::from_millis(20));
    }
    let wrong = format!("traceparent: 00-{}-{PARENT}-01\r\ntracestate: shop=1\r\n", TRACE.to_uppercase());
    let answer = ask(&running.address, &format!("GET {HOLD}?hold_ms=1"), &wrong);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(holder);
    // What waits to be sent is sent before it ends.
    running.signal("TERM");
    assert!(running.child.wait().expect("it ends").success());
    let spans = collector.spans();
    let rejected: Vec<_> = spans
        .iter()
        .filter(|span| attribute(&span.attributes, "poolgate.gate").as_deref() == Some("rejected"))
        .collect();
    let [rejected] = rejected[..] else { panic!("one: {spans:#?}") };
    assert_eq!(attribute(&rejected.attributes, "error.type").as_deref(), Some("503"));
    assert_eq!(rejected.status.as_ref().expect("a status").code(), StatusCode::Error);
    assert!(rejected.parent_span_id.is_empty() && rejected.trace_state.is_empty(), "{rejected:#?}");
    assert_ne!(hexadecimal(&rejected.trace_id), TRACE);
    let left = spans.iter().find(|span| attribute(&span.attributes, "poolgate.complete").as_deref() == Some("false"));
    let left = left.expect("the client that left has a span");
    assert_eq!(attribute(&left.attributes, "http.response.status_code"), None);
    // Poolgate's own routes have none.
    assert!(
        spans.iter().all(|span| !attribute(&span.attributes, "url.path").is_some_and(|path| path.contains("health")))
    );
}

/// An app that answers with the head of the request.
#[cfg(feature = "gateway")]
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 4096];
                while let Some(read) = stream.read(&mut request).ok().filter(|read| *read > 0) {
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {read}\r\n\r\n");
                    let _ = stream.write_all(&request[..read]);
                }
            });
        }
    });
    address
}

#[cfg(feature = "gateway")]
#[test]
fn behind_a_gateway_the_app_goes_on_with_the_trace() {
    let collector = Collector::start();
    let endpoint = format!("http://{}", collector.address);
    let environment = [("POOLGATE_OTLP__ENDPOINT", &*endpoint), ("POOLGATE_OTLP__SAMPLE_RATIO", "0")];
    let gateway = crate::running_gateway::Gateway::start(echo(), &[], &environment);
    let seen = |fields: &str| {
        let answer = ask(&gateway.public, "GET /orders/7?secret=1", fields);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let head = answer.split_once("\r\n\r\n").expect("a body").1.to_lowercase();
        head.lines().find_map(|line| Some(line.strip_prefix("traceparent: ")?.to_owned()))
    };
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    assert_eq!(seen(&format!("traceparent: {unsampled}\r\n")).as_deref(), Some(&*unsampled), "as it came");
    assert_eq!(seen(""), None);
    let passed_on = seen(&traceparent(TRACE, "01")).expect("a trace");
    let spans = collector.eventually("sent", |spans| spans.len() >= 2);
    let (request, wait) = parts_of(&spans, TRACE);
    assert_eq!(passed_on, format!("00-{TRACE}-{}-01", hexadecimal(&request.span_id)));
    assert_eq!((&*request.name, &*hexadecimal(&request.parent_span_id)), ("GET", PARENT));
    assert_eq!(attribute(&request.attributes, "url.path").as_deref(), Some("/orders/7"));
    assert!(wait("gate wait").is_some() && wait("connection wait").is_none() && spans.len() == 2, "{spans:#?}");
}

#[test]
fn a_collector_that_is_down_costs_traces_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let traced = Traced::demo(address, "1");
    for _ in 0..3 {
        let answer = traced.ask(&format!("GET {HOLD}?hold_ms=1"), "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        thread::sleep(Duration::from_millis(1_100));
    }
    traced.eventually_logs("The collector takes no traces");
    assert_eq!(traced.log().matches("The collector takes no traces").count(), 1, "{}", traced.log());
    let collector = Collector::at(TcpListener::bind(address).expect("the port is free"), false);
    traced.ask("GET /api/v1/nothing", &traceparent(TRACE, "01"));
    collector.eventually("sent", |spans| spans.iter().any(|span| hexadecimal(&span.trace_id) == TRACE));
    traced.eventually_logs("The collector takes all traces again");
}

/// Kilobytes of memory that a process has.
#[cfg(target_os = "linux")]
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn a_collector_that_hangs_costs_bounded_memory_and_stops_no_request() {
    const ROUNDS: usize = 100;
    let collector = Collector::hanging();
    let traced = Traced::demo(collector.address, "1");
    let mut stream = TcpStream::connect(&traced.running.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let agent = "x".repeat(4_000);
    let host = &traced.running.address;
    let request = format!("HEAD /api/v1/nothing HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n");
    let round = |stream: &mut TcpStream| {
        stream.write_all(request.repeat(100).as_bytes()).expect("sent");
        let (mut heads, mut answers) = (String::new(), [0; 65_536]);
        while heads.matches("HTTP/1.1 404").count() < 100 || !heads.ends_with("\r\n\r\n") {
            let read = stream.read(&mut answers).expect("answered");
            assert!(read > 0, "closed");
            heads.push_str(&String::from_utf8_lossy(&answers[..read]));
        }
    };
    // More than the queue has places for.
    for _ in 0..30 {
        round(&mut stream);
    }
    let before = resident(traced.running.child.id());
    for _ in 0..ROUNDS {
        round(&mut stream);
    }
    let grown = resident(traced.running.child.id()).saturating_sub(before);
    // The texts of these requests alone are 40 MB.
    assert!(grown < 10_000, "{grown} kB");
    traced.eventually_logs("The collector takes no traces");
    collector.wake();
    traced.ask("GET /api/v1/nothing", &traceparent(TRACE, "01"));
    traced.eventually_logs("The collector takes all traces again");
    let log = traced.log();
    assert_eq!(log.matches("The collector takes no traces").count(), 1, "{log}");
    assert!(collector.spans().len() < 4_096, "{}", collector.spans().len());
}
