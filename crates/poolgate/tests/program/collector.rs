//! A collector that takes traces, or hangs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;

use crate::process::PATIENCE;

/// Listens until the test ends.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    hangs: AtomicBool,
    messages: Mutex<Vec<ExportTraceServiceRequest>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").expect("a port"), false)
    }

    /// It reads and does not answer until [`Collector::wake`].
    pub(crate) fn hanging() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").expect("a port"), true)
    }

    pub(crate) fn at(listener: TcpListener, hangs: bool) -> Self {
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State { hangs: hangs.into(), ..State::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    pub(crate) fn wake(&self) {
        self.state.hangs.store(false, SeqCst);
    }

    pub(crate) fn messages(&self) -> Vec<ExportTraceServiceRequest> {
        self.state.messages.lock().expect("whole").clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.messages().into_iter().flat_map(|message| message.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// Waits until the spans are as `condition` wants them.
    pub(crate) fn eventually(&self, what: &str, condition: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let spans = self.spans();
            if condition(&spans) {
                return spans;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}: {spans:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let head = head.to_lowercase();
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
            let mut body = vec![0; length.expect("a length")];
            reader.read_exact(&mut body).ok()?;
            while self.hangs.load(SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            let message = ExportTraceServiceRequest::decode(&*body).expect("a message");
            self.messages.lock().expect("whole").push(message);
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
            reader.get_mut().write_all(answer.as_bytes()).ok()?;
        }
    }
}

/// The value of an attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is_true) => is_true.to_string(),
        other => panic!("{name}: {other:?}"),
    })
}

/// As `traceparent` writes an id.
pub(crate) fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
