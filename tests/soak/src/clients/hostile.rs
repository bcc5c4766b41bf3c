//! Clients that ignore limits, lie, and break off. None of them must get what it wants, or harm the others.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate::demo::{Random, routes as demo};
use poolgate_native::HttpClient;
use poolgate_types::routes;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Common, address, socket::Socket};
use crate::tally::{Class, Ending};

/// Requests whose bodies never arrive, all from one address.
const WITHHELD: u8 = 30;
const WITHHELD_FOR: Duration = Duration::from_secs(30);
/// A flood from one address: workers, requests per second of each, hold time of each request, and event streams that each
/// claim to be another client.
const FLOODERS: u8 = 40;
const FLOOD_PAUSE: Duration = Duration::from_millis(200);
const FLOOD_HOLD_MS: u32 = 200;
const FAKE_STREAMS: u8 = 60;
/// Connections that are opened and abandoned, half of them in the middle of a head.
const IDLE: u8 = 80;
const IDLE_FOR: Duration = Duration::from_secs(60);
/// Pause between two requests of a client that sends one after the other.
const BEAT: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before a refused or closed connection is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Bytes that are not a valid request and must not harm the server.
const MALFORMED: [&str; 12] = [
    "\r\n\r\n\r\n",
    "GET\r\n\r\n",
    "GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
    "GET /api/v1/shop/products HTTP/1.1\r\n\r\n",
    "GET /api/v1/shop/products?page=%zz&search=%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "POST /api/v1/shop/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    "POST /api/v1/shop/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /api/v1/shop/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "POST /api/v1/shop/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\": [[[",
    "GET /api/v1/lab/hold?hold_ms=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\nPoolgate-Deadline-Ms: -5\r\nPriority: u=99\r\n\r\n",
    "GET /api/v1/health/database/events?client=%0d%0a&topics=x HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: \u{1}\r\n\r\n",
    "GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: \u{fe}\r\nConnection: close\r\n\r\n",
];

pub(super) fn description() -> String {
    let per_second = |pause: Duration| pause.as_secs_f64().recip();
    format!(
        "{WITHHELD} withheld bodies, a flood of {}/s with {FAKE_STREAMS} fake streams, {IDLE} idle connections, {}/s each of \
         malformed requests, wrong tokens and requests that are broken off",
        f64::from(FLOODERS) * per_second(FLOOD_PAUSE),
        per_second(BEAT)
    )
}

/// Starts them all.
pub(super) fn spawn(clients: &mut JoinSet<()>, common: &Arc<Common>, random: &mut Random) {
    let mut start = |count: u8, turn: fn(&Common, IpAddr, u64) -> Turn<'_>, group: u8, pause: Duration| {
        for _ in 0..count {
            let (common, mut random) = (Arc::clone(common), Random::new(random.next_u64()));
            clients.spawn(async move {
                loop {
                    // Failure is the expected result.
                    turn(&common, address(group, 0), random.next_u64()).await.ok();
                    sleep(pause.mul_f64(0.5 + random.unit())).await;
                }
            });
        }
    };
    start(WITHHELD, |common, from, _| Box::pin(withhold_body(common, from)), 11, AGAIN);
    start(FAKE_STREAMS, |common, from, id| Box::pin(pretend_to_listen(common, from, id)), 12, AGAIN);
    start(IDLE, |common, from, number| Box::pin(say_nothing(common, from, number)), 13, AGAIN);
    start(1, |common, from, number| Box::pin(talk_nonsense(common, from, number)), 14, BEAT);
    start(1, |common, from, number| Box::pin(guess_token(common, from, number)), 15, BEAT);
    start(1, |common, from, number| Box::pin(break_off(common, from, number)), 16, BEAT);
    for _ in 0..FLOODERS {
        clients.spawn(flood(Arc::clone(common), address(12, 0)));
    }
}

type Turn<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

async fn withhold_body(common: &Common, from: IpAddr) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    let head = format!(
        "POST {}/orders HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        demo::SHOP_PREFIX,
        common.target
    );
    socket.write(head.as_bytes()).await?;
    socket.linger(WITHHELD_FOR).await;
    Ok(())
}

/// Sends at full rate and ignores every answer.
async fn flood(common: Arc<Common>, from: IpAddr) {
    let http = HttpClient::from_address(Some(from), common.target);
    let path = format!("{}?hold_ms={FLOOD_HOLD_MS}", demo::LAB_HOLD);
    let mut beat = interval(FLOOD_PAUSE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let wanted = Instant::now();
        let answer = http.get(&path, wanted + PATIENCE).await;
        common.tally.count(Class::Hostile, wanted, Ending::of(&answer, wanted));
    }
}

async fn pretend_to_listen(common: &Common, from: IpAddr, id: u64) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    let request = format!("GET {}?client={id:016x} HTTP/1.1\r\nHost: {}\r\n\r\n", routes::EVENTS, common.target);
    socket.write(request.as_bytes()).await?;
    socket.linger(IDLE_FOR).await;
    Ok(())
}

async fn say_nothing(common: &Common, from: IpAddr, number: u64) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    if number.is_multiple_of(2) {
        socket.write(b"GET /livez HTTP/1.1\r\nHost: ").await?;
    }
    socket.linger(IDLE_FOR).await;
    Ok(())
}

async fn talk_nonsense(common: &Common, from: IpAddr, number: u64) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    let wanted = Instant::now();
    socket.write(MALFORMED[(number % MALFORMED.len() as u64) as usize].as_bytes()).await?;
    let ending = match socket.answer(PATIENCE).await {
        Ok((status, _)) => Ending::of_status(status, wanted),
        Err(_) => Ending::NoContact,
    };
    common.tally.count(Class::Hostile, wanted, ending);
    Ok(())
}

async fn guess_token(common: &Common, from: IpAddr, number: u64) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    let wanted = Instant::now();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer guess-{number:016x}\r\nContent-Length: 0\r\n\r\n",
        routes::FORCE_CLEANUP,
        common.target
    );
    socket.write(request.as_bytes()).await?;
    let (status, _) = socket.answer(PATIENCE).await?;
    common.tally.count(Class::Hostile, wanted, Ending::of_status(status, wanted));
    Ok(())
}

/// Sends a request, or only its beginning, and disconnects a moment later.
async fn break_off(common: &Common, from: IpAddr, number: u64) -> io::Result<()> {
    let mut socket = Socket::connect(from, common.target).await?;
    let request = format!("GET {}?hold_ms=100 HTTP/1.1\r\nHost: {}\r\n\r\n", demo::LAB_HOLD, common.target);
    let sent = if number.is_multiple_of(8) { request.len() / 2 } else { request.len() };
    socket.write(&request.as_bytes()[..sent]).await?;
    sleep(Duration::from_millis(number % 150)).await;
    Ok(())
}
