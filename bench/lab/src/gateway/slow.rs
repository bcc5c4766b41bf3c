//! Readers who take nothing and senders who give a byte a second: what they cost, and what is left for others.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime, time,
};

use super::handler::{AT_ONCE, Handler, LARGE, UPLOAD};
use crate::{
    cpu,
    front::{Front, Kind},
    machine::Machine,
    table::Table,
};

const READERS: usize = 2_000;
const SENDERS: usize = 500;
/// Readers who come at a time: fewer than would have to wait for too long.
const AT_ONE_TIME: usize = 40;
const AT_A_TIME: u32 = 25;
/// Others who come one after the other, meanwhile.
const OTHERS: usize = 200;
/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

const HEADS: [&str; 5] =
    ["", "Readers let in", "Memory at first, MiB", "with all of them, MiB", "Others served, of 200"];

/// A table with a row for each proxy.
pub(super) fn measure(machine: &Machine) -> Result<Vec<Table>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let title = format!("{READERS} readers who take nothing of 10 MB, {SENDERS} senders of a byte a second");
    let mut table = Table::new(title, &HEADS);
    for kind in [Kind::Haproxy, Kind::Nginx, Kind::Poolgate] {
        let handler = Handler::start(machine)?;
        let front = Front::start(kind, handler.address, AT_A_TIME, &machine.server_cpus)?;
        let process = front.process_id().context("it is a process")?;
        let row = runtime.block_on(row(front.address(), process))?;
        table.rows.push([vec![kind.name().to_owned()], row].concat());
    }
    Ok(vec![table])
}

async fn row(front: SocketAddr, process: u32) -> Result<Vec<String>> {
    let first = cpu::memory_of(process)?;
    let mut readers = Vec::new();
    for _ in 0..READERS / AT_ONE_TIME {
        let come = (0..AT_ONE_TIME).map(|_| begin(front, format!("GET {LARGE} HTTP/1.1\r\nHost: a\r\n\r\n")));
        readers.extend(join_all(come).await.into_iter().flatten());
    }
    let upload = format!("POST {UPLOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let mut sender = TcpStream::connect(front).await?;
        sender.write_all(upload.as_bytes()).await?;
        senders.push(sender);
    }
    let sending = tokio::spawn(async move {
        loop {
            for sender in &mut senders {
                // Those who were turned away are gone.
                let _ = sender.write_all(b"x").await;
            }
            time::sleep(Duration::from_secs(1)).await;
        }
    });
    time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let mut served = 0;
    for number in 0..OTHERS {
        let other = begin(front, format!("GET {AT_ONCE} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        served += usize::from(other.is_some());
        // Evenly over four seconds.
        let next = begun + Duration::from_millis(20) * u32::try_from(number + 1)?;
        time::sleep_until(next.into()).await;
    }
    let with_all = cpu::memory_of(process)?;
    sending.abort();
    Ok(vec![readers.len().to_string(), format!("{first:.0}"), format!("{with_all:.0}"), served.to_string()])
}

/// The connection, if the answer begins with 200 in time.
async fn begin(front: SocketAddr, request: String) -> Option<TcpStream> {
    let answered = async {
        let mut stream = TcpStream::connect(front).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; b"HTTP/1.1 200".len()];
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok((status == *b"HTTP/1.1 200").then_some(stream))
    };
    time::timeout(PATIENCE, answered).await.ok()?.ok()?
}
