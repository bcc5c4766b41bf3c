//! Honest clients on bad lines.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use poolgate::demo::{Random, routes as demo};
use poolgate_types::routes;
use tokio::{task::JoinSet, time::sleep};

use super::{Common, address, socket::Socket};
use crate::{
    ledger::Told,
    tally::{Class, Ending},
};

const UPLOADS: u8 = 6;
const READERS: u8 = 8;
const STREAMS: u8 = 4;

/// An order of about 70 bytes takes five seconds.
const UPLOAD_PAUSE: Duration = Duration::from_millis(70);
/// Answers that a reader asks for at once, about 100 kB together, and the speed at which it reads them.
const PIPELINED: usize = 40;
const BYTES_PER_SECOND: usize = 10_000;
const LONGEST_READ: Duration = Duration::from_secs(40);
/// How long a stalled reader reads nothing.
const STALL: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two turns of one client, once to twice as long.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn description() -> String {
    format!("{UPLOADS} uploads, {READERS} readers, {STREAMS} streams")
}

/// Starts all slow clients.
pub(super) fn spawn(clients: &mut JoinSet<()>, common: &Arc<Common>, random: &mut Random) {
    for index in 0..UPLOADS {
        let (common, random) = (Arc::clone(common), Random::new(random.next_u64()));
        clients.spawn(repeat(random, async move || upload(&common, address(3, index)).await));
    }
    for index in 0..READERS {
        let (common, random) = (Arc::clone(common), Random::new(random.next_u64()));
        // Half of them stall first.
        let stall = if index % 2 == 0 { Duration::ZERO } else { STALL };
        clients.spawn(repeat(random, async move || read(&common, address(4, index), stall).await));
    }
    for index in 0..STREAMS {
        let (common, random) = (Arc::clone(common), Random::new(random.next_u64()));
        clients.spawn(repeat(random, async move || leave_stream_unread(&common, address(5, index)).await));
    }
}

async fn repeat(mut random: Random, turn: impl AsyncFn() -> io::Result<()>) {
    loop {
        // Failures are counted where they happen.
        turn().await.ok();
        sleep(PAUSE.mul_f64(1.0 + random.unit())).await;
    }
}

/// An order whose body trickles in.
async fn upload(common: &Common, from: IpAddr) -> io::Result<()> {
    let tag = common.ledger.make();
    let body = tag.document();
    let mut wanted = Instant::now();
    let answer = async {
        let mut socket = Socket::connect(from, common.target).await?;
        let head = format!(
            "POST {}/orders HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            demo::SHOP_PREFIX,
            common.target,
            body.len()
        );
        socket.write(head.as_bytes()).await?;
        socket.trickle(body.as_bytes(), UPLOAD_PAUSE).await?;
        // Latency counts from the last byte.
        wanted = Instant::now();
        socket.answer(PATIENCE).await
    }
    .await;
    let ending = match &answer {
        Ok((status, body)) => {
            common.ledger.tell(tag, Told::by_response(*status, body));
            Ending::of_status(*status, wanted)
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ending::Late,
        Err(_) => Ending::NoContact,
    };
    common.tally.count(Class::Slow, wanted, ending);
    Ok(())
}

/// Asks for many pages at once and reads them slowly.
async fn read(common: &Common, from: IpAddr, stall: Duration) -> io::Result<()> {
    let wanted = Instant::now();
    let mut socket = Socket::connect_with_small_buffer(from, common.target).await?;
    let request = |more: &str| {
        format!("GET {}/products?search=o HTTP/1.1\r\nHost: {}\r\n{more}\r\n", demo::SHOP_PREFIX, common.target)
    };
    socket.write((request("").repeat(PIPELINED - 1) + &request("Connection: close\r\n")).as_bytes()).await?;
    sleep(stall).await;
    let ending = match socket.sip(BYTES_PER_SECOND, LONGEST_READ).await {
        Ok(answers) if count(&answers, b"HTTP/1.1 200") == PIPELINED => Ending::Served(wanted.elapsed()),
        Ok(_) => Ending::TurnedAway,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ending::Late,
        Err(_) => Ending::NoContact,
    };
    common.tally.count(Class::Slow, wanted, ending);
    Ok(())
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).filter(|window| *window == what).count()
}

/// Opens an event stream and reads nothing for a while.
async fn leave_stream_unread(common: &Common, from: IpAddr) -> io::Result<()> {
    let mut socket = Socket::connect_with_small_buffer(from, common.target).await?;
    let request = format!("GET {}?topics=config,status HTTP/1.1\r\nHost: {}\r\n\r\n", routes::EVENTS, common.target);
    socket.write(request.as_bytes()).await?;
    sleep(3 * STALL).await;
    Ok(())
}
