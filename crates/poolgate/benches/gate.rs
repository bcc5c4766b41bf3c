//! Cost of a rejection in CPU time and instructions, through the whole tower service and through hyper on loopback.
//! `cargo xtask bench gate` runs it.
//!
//! CPU time is that of the thread, so a busy machine does not matter. If valgrind is installed it counts instructions:
//! the program runs a case twice, with different numbers of requests, and takes the difference.

use std::{
    convert::Infallible,
    env,
    error::Error,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
use futures_util::{FutureExt, future::join_all};
use http::{Request, Response, StatusCode};
use poolgate::serve;
use poolgate_server::{
    gate::{Gate, GateBody},
    settings::{GateSettings, ServerSettings},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{net::TcpListener, runtime, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

type Service = BoxCloneService<Request<Body>, Response<GateBody<Body>>, Infallible>;

const ROUNDS: usize = 9;
const EACH: u32 = 20_000;
/// Number of callers, which take turns.
const CALLERS: u32 = 1000;
const CONNECTIONS: usize = 64;

/// One measurement with a minimum number of requests.
struct Case {
    name: &'static str,
    run: fn(u32),
}

const CASES: &[Case] = &[
    Case { name: "service: request made, nothing in front", run: open },
    Case { name: "service: let in", run: let_in },
    Case { name: "service: turned away, no queue", run: no_queue },
    Case { name: "service: turned away, queue full", run: queue_full },
    Case { name: "service: turned away after waiting", run: after_waiting },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [name, count] = arguments.as_slice() {
        let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
        (case.run)(count.parse()?);
        return Ok(());
    }
    println!("{:<44} {:>12} {:>12} {:>13}", "each", "median", "range", "instructions");
    for case in CASES {
        (case.run)(EACH / 10);
        let times = (0..ROUNDS).map(|_| {
            let begun = cpu();
            (case.run)(EACH);
            (cpu() - begun) / EACH
        });
        print(case.name, times.collect(), instructions(case)?);
    }
    for (name, path) in
        [("hyper on loopback: answered, not gated", "/open"), ("hyper on loopback: turned away", "/gated")]
    {
        print(name, loopback(path)?, None);
    }
    Ok(())
}

fn print(name: &str, mut times: Vec<Duration>, instructions: Option<u64>) {
    times.sort();
    let micros = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let range = format!("{:.2}-{:.2}", micros(times.first()), micros(times.last()));
    let instructions = instructions.map_or("-".to_owned(), |count| count.to_string());
    println!("{name:<44} {:>9.2} us {range:>12} {instructions:>13}", micros(times.get(times.len() / 2)));
}

/// CPU time of the thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Instructions per request; `None` without valgrind.
fn instructions(case: &Case) -> Result<Option<u64>, Box<dyn Error>> {
    let count = |requests: u32| -> Result<Option<u64>, Box<dyn Error>> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(env::current_exe()?);
        let Ok(output) = valgrind.args([case.name, &requests.to_string()]).output() else { return Ok(None) };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = text.lines().find_map(|line| line.split_once("Collected : "));
        Ok(Some(collected.ok_or(text.clone())?.1.trim().parse()?))
    };
    let (Some(few), Some(many)) = (count(1000)?, count(3000)?) else { return Ok(None) };
    Ok(Some((many - few) / 2000))
}

fn settings(max_queue: u32, timeout: Duration) -> GateSettings {
    GateSettings { max_concurrent_requests: 1, max_queue, timeout, ..GateSettings::default() }
}

/// A request as a browser sends it.
fn request(number: u32) -> Request<Body> {
    let mut request = Request::builder()
        .uri("/api/v1/shop/orders?page=2")
        .header("host", "shop.example")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "application/json")
        .header("accept-language", "en")
        .header("accept-encoding", "gzip, deflate, br")
        .header("referer", "https://shop.example/orders")
        .header("cookie", "session=0123456789abcdef0123456789abcdef")
        .header("priority", "u=4")
        .body(Body::empty())
        .expect("a request");
    let [_, high, middle, low] = (number % CALLERS).to_be_bytes();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, high, middle, low], 40_000))));
    request
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("done")))
}

async fn never(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    std::future::pending().await
}

/// On this thread only, with a clock that advances whenever all tasks wait.
fn block_on(work: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work);
}

fn open(count: u32) {
    let service = service_fn(answer);
    block_on(async {
        for number in 0..count {
            assert_eq!(service.oneshot(request(number)).await.expect("infallible").status(), StatusCode::OK);
        }
    });
}

fn let_in(count: u32) {
    let service = Gate::new(&settings(0, Duration::from_secs(1))).layer(service_fn(answer));
    block_on(async {
        for number in 0..count {
            assert_eq!(service.clone().oneshot(request(number)).await.expect("infallible").status(), StatusCode::OK);
        }
    });
}

fn no_queue(count: u32) {
    turned_away_at_once(count, 0);
}

fn queue_full(count: u32) {
    turned_away_at_once(count, 100);
}

fn turned_away_at_once(count: u32, max_queue: u32) {
    let gate = Gate::new(&settings(max_queue, Duration::from_secs(60)));
    let service: Service = BoxCloneService::new(gate.layer(service_fn(never)));
    block_on(async {
        let mut waiting = JoinSet::new();
        for number in 0..=max_queue {
            waiting.spawn(service.clone().oneshot(request(number)));
        }
        while gate.queued() < max_queue || gate.in_flight() < 1 {
            tokio::task::yield_now().await;
        }
        for number in 0..count {
            let answer = service.clone().oneshot(request(number)).now_or_never().expect("at once").expect("infallible");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    });
}

fn after_waiting(count: u32) {
    let gate = Gate::new(&settings(100, Duration::from_millis(500)));
    let service: Service = BoxCloneService::new(gate.layer(service_fn(never)));
    block_on(async {
        let _held = tokio::spawn(service.clone().oneshot(request(0)));
        tokio::task::yield_now().await;
        for batch in 0..count / 100 {
            let requests = (0..100).map(|number| service.clone().oneshot(request(batch * 100 + number)));
            for answer in join_all(requests).await {
                assert_eq!(answer.expect("infallible").status(), StatusCode::SERVICE_UNAVAILABLE);
            }
        }
    });
}

/// CPU time of the server's only thread per request, over keep-alive connections.
fn loopback(path: &str) -> Result<Vec<Duration>, Box<dyn Error>> {
    let (send_address, address) = mpsc::channel();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let server = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let gate = Gate::new(&settings(0, Duration::from_secs(1)));
            let _held = tokio::spawn(gate.layer(service_fn(never)).oneshot(request(0)));
            let app = Router::new()
                .route("/gated", get(async || "done"))
                .layer(gate)
                .route("/open", get(async || "done"))
                .route("/cpu", get(async || cpu().as_nanos().to_string()));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send_address.send(listener.local_addr().expect("bound")).expect("awaited");
            let settings = ServerSettings { drain_timeout: Duration::from_millis(1), ..ServerSettings::default() };
            serve(listener, app, &settings, &stopped).await
        })
    });
    let address = address.recv()?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connections.push(connection);
    }
    let mut times = Vec::new();
    let turns = EACH / CONNECTIONS as u32;
    for _ in 0..=ROUNDS {
        let begun = server_cpu(&mut connections[0])?;
        for _ in 0..turns {
            for connection in &mut connections {
                ask(connection, path)?;
            }
            for connection in &mut connections {
                read_answer(connection)?;
            }
        }
        times.push((server_cpu(&mut connections[0])? - begun) / (turns * CONNECTIONS as u32));
    }
    stop.cancel();
    let _ = server.join().map_err(|_| "the server panicked")?;
    // The first round warms up.
    Ok(times.split_off(1))
}

fn server_cpu(connection: &mut TcpStream) -> Result<Duration, Box<dyn Error>> {
    ask(connection, "/cpu")?;
    Ok(Duration::from_nanos(read_answer(connection)?.parse()?))
}

fn ask(connection: &mut TcpStream, path: &str) -> Result<(), Box<dyn Error>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: shop.example\r\naccept: application/json\r\naccept-language: en\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         accept-encoding: gzip, deflate, br\r\nreferer: https://shop.example/orders\r\n\
         cookie: session=0123456789abcdef0123456789abcdef\r\npriority: u=4\r\n\r\n"
    );
    Ok(connection.write_all(request.as_bytes())?)
}

/// The body.
fn read_answer(connection: &mut TcpStream) -> Result<String, Box<dyn Error>> {
    let mut answer = Vec::new();
    let mut part = [0; 2048];
    loop {
        let length = connection.read(&mut part)?;
        answer.extend_from_slice(part.get(..length).filter(|part| !part.is_empty()).ok_or("the connection ended")?);
        let text = std::str::from_utf8(&answer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?;
        if body.len() >= announced.parse::<usize>()? {
            return Ok(body.to_owned());
        }
    }
}
