//! Thousands of event streams, read by one thread, which records when each receives which version.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use poolgate_types::routes;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    runtime,
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Streams per source address: the system has about 28,000 ports for each.
const STREAMS_PER_ADDRESS: usize = 2_000;
/// Streams that are opened concurrently.
const OPENING: usize = 200;
/// Time limit for opening all of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Open streams; dropping them closes them.
#[derive(Debug)]
pub(crate) struct Subscribers {
    streams: Vec<Arc<Mutex<Vec<Sighting>>>>,
    close: CancellationToken,
    reader: Option<std::thread::JoinHandle<()>>,
}

/// A stream received a version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) version: u64,
    pub(crate) at: SystemTime,
}

impl Subscribers {
    /// Opens `count` streams and waits until each has received its first config.
    pub(crate) fn open(server: SocketAddr, count: usize) -> Result<Self> {
        let (opened, all_opened) = std::sync::mpsc::channel();
        let streams: Vec<Arc<Mutex<Vec<Sighting>>>> = (0..count).map(|_| Arc::default()).collect();
        let close = CancellationToken::new();
        let (logs, closing) = (streams.clone(), close.clone());
        let reader = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let run = async {
                let mut readers = JoinSet::new();
                let result = open_all(server, logs, &mut readers).await;
                opened.send(result).ok();
                closing.cancelled().await;
                readers.shutdown().await;
            };
            match runtime {
                Ok(runtime) => runtime.block_on(run),
                Err(error) => drop(opened.send(Err(error.into()))),
            }
        });
        let subscribers = Self { streams, close, reader: Some(reader) };
        all_opened.recv_timeout(PATIENCE).context("the streams did not open in time")??;
        Ok(subscribers)
    }

    /// What the streams have received since the last call.
    pub(crate) fn take_sightings(&self) -> Vec<Vec<Sighting>> {
        let take = |log: &Arc<Mutex<Vec<Sighting>>>| std::mem::take(&mut *lock(log));
        self.streams.iter().map(take).collect()
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.close.cancel();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

async fn open_all(
    server: SocketAddr,
    logs: Vec<Arc<Mutex<Vec<Sighting>>>>,
    readers: &mut JoinSet<io::Result<()>>,
) -> Result<()> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut first_events = JoinSet::new();
    for (number, log) in logs.into_iter().enumerate() {
        let permit = Arc::clone(&opening).acquire_owned().await?;
        first_events.spawn(async move {
            let stream = open(server, number, &log).await?;
            drop(permit);
            anyhow::Ok((stream, log))
        });
        while let Some(opened) = first_events.try_join_next() {
            let (stream, log) = opened??;
            readers.spawn(async move { follow(&stream, &log).await });
        }
    }
    while let Some(opened) = first_events.join_next().await {
        let (stream, log) = opened??;
        readers.spawn(async move { follow(&stream, &log).await });
    }
    Ok(())
}

/// Opens one stream and waits for its first config.
async fn open(server: SocketAddr, number: usize, log: &Mutex<Vec<Sighting>>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number / STREAMS_PER_ADDRESS)?);
    socket.bind((IpAddr::V4(source), 0).into())?;
    let mut stream = socket.connect(server).await?;
    let path = format!("{}?client=stream-{number}", routes::EVENTS);
    // A browser sends about 500 bytes; the server must not keep them.
    let agent = "x".repeat(300);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nUser-Agent: {agent}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    while lock(log).is_empty() {
        stream.readable().await?;
        ensure!(take_in(&stream, log)?, "stream {number} was refused");
    }
    Ok(stream)
}

async fn follow(stream: &TcpStream, log: &Mutex<Vec<Sighting>>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        if !take_in(stream, log)? {
            return Ok(());
        }
    }
}

/// Reads the received bytes; `false` at the end of the stream.
fn take_in(stream: &TcpStream, log: &Mutex<Vec<Sighting>>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    match stream.try_read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            if let Some(version) = newest_version(&buffer[..length]) {
                lock(log).push(Sighting { version, at: SystemTime::now() });
            }
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// The version in the last complete event of `bytes`.
fn newest_version(bytes: &[u8]) -> Option<u64> {
    const MEMBER: &[u8] = b"\"version\":";
    let begin = bytes.windows(MEMBER.len()).rposition(|window| window == MEMBER)? + MEMBER.len();
    let digits = bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit());
    // A number that is cut off at the end would be a wrong one.
    let length = digits.count();
    bytes.get(begin + length)?;
    std::str::from_utf8(&bytes[begin..begin + length]).ok()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::newest_version;

    #[test]
    fn the_last_complete_version_counts() {
        assert_eq!(newest_version(b"data: {\"version\":7,\"x\":1}\n\ndata: {\"version\":8}\n\n"), Some(8));
        assert_eq!(newest_version(b"{\"version\":12"), None, "cut off");
        assert_eq!(newest_version(b"event: bye\n\n"), None);
    }
}
