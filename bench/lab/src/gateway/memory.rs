//! Memory of open WebSockets and event streams.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime, time,
};

use super::handler::{EVENTS, Handler, KEY, SOCKET};
use crate::{
    cpu,
    front::{Front, Kind},
    machine::Machine,
    table::Table,
};

const CONNECTIONS: u32 = 1_000;
const AT_A_TIME: u32 = 25;
/// For one connection to open.
const PATIENCE: Duration = Duration::from_secs(5);
/// nginx's `limit_conn` counts streams as requests.
const AT_A_TIME_OF_NGINX: u32 = 4_000;

const HEADS: [&str; 6] =
    ["", "At first, MiB", "1,000 WebSockets, MiB", "and 1,000 event streams, MiB", "KiB a WebSocket", "KiB a stream"];

/// What each proxy holds (RSS) once they are open.
pub(super) fn measure(machine: &Machine) -> Result<Vec<Table>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new("Memory of open connections", &HEADS);
    for kind in [Kind::Haproxy, Kind::Nginx, Kind::Poolgate] {
        let handler = Handler::start(machine)?;
        let at_a_time = if kind == Kind::Poolgate { AT_A_TIME } else { AT_A_TIME_OF_NGINX };
        let front = Front::start(kind, handler.address, at_a_time, &machine.server_cpus)?;
        let process = front.process_id().context("it is a process")?;
        let [first, sockets, streams] = runtime.block_on(async {
            let warm = [open(front.address(), SOCKET).await?, open(front.address(), EVENTS).await?];
            drop(warm);
            let mut open_ones = Vec::new();
            let mut held = [cpu::memory_of(process)?, 0.0, 0.0];
            for (path, held) in [SOCKET, EVENTS].into_iter().zip(held.iter_mut().skip(1)) {
                for _ in 0..CONNECTIONS {
                    open_ones.push(open(front.address(), path).await?);
                }
                *held = cpu::memory_of(process)?;
            }
            anyhow::Ok(held)
        })?;
        let each = |before: f64, after: f64| format!("{:.1}", (after - before) * 1024.0 / f64::from(CONNECTIONS));
        table.rows.push(vec![
            kind.name().to_owned(),
            format!("{first:.1}"),
            format!("{sockets:.1}"),
            format!("{streams:.1}"),
            each(first, sockets),
            each(sockets, streams),
        ]);
    }
    Ok(vec![table])
}

/// A connection on which bytes have gone both ways.
async fn open(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let opened = async {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "Host: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        let (head, hello, first): (_, &[u8], &[u8]) = if path == SOCKET {
            (head.as_str(), b"hello", b"hello")
        } else {
            ("Host: shop.example\r\n\r\n", b"", b"data: 0\n\n")
        };
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}").as_bytes()).await?;
        until(&mut stream, b"\r\n\r\n").await?;
        stream.write_all(hello).await?;
        until(&mut stream, first).await?;
        anyhow::Ok(stream)
    };
    time::timeout(PATIENCE, opened).await.with_context(|| format!("{path} takes too long"))?
}

/// Reads byte by byte, so that nothing behind the end is taken.
async fn until(stream: &mut TcpStream, end: &[u8]) -> Result<()> {
    const MOST: usize = 64 << 10;
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.with_context(|| String::from_utf8_lossy(&read).into_owned())?);
        ensure!(read.len() < MOST, "no end in sight: {}", String::from_utf8_lossy(&read));
    }
    Ok(())
}
