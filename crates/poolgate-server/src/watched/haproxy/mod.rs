//! A backend of an HAProxy, watched on its runtime API.

mod statistics;

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_core::future::BoxFuture;
use poolgate_pool::ConnectHistory;
use poolgate_types::Backend;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time,
};

use self::statistics::Reading;
use super::{
    BlindSpot, Figures, Traffic, Visibility, WatchedPool,
    record::{Record, Trouble},
};
use crate::settings::{HaProxyAddress, HaProxySocket};

/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer: a few hundred for each server.
const MOST_BYTES: u64 = 1 << 20;

/// Watches one backend of an HAProxy.
///
/// Its servers' `maxconn` is a gate, and `timeout queue` the patience of its queue: HAProxy shows the requests in progress,
/// those that are queued, and those that arrive.
#[derive(Debug)]
pub struct HaProxy {
    address: HaProxyAddress,
    capacity: Option<u32>,
    record: Record,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    traffic: Option<Traffic>,
    /// The exact total, which may fall for a moment.
    served: i64,
    previous: Option<Reading>,
}

impl HaProxy {
    /// Watches the backend with this name. Nothing happens before it is read.
    pub fn new(address: HaProxyAddress) -> Self {
        let record = Record::new(address.to_string(), Duration::ZERO);
        Self { address, capacity: None, record, seen: Mutex::default() }
    }

    /// The most requests that can be in progress. Default: the sum of `maxconn` of the servers that are up.
    #[must_use]
    pub fn capacity(mut self, requests: u32) -> Self {
        self.capacity = Some(requests);
        self
    }

    async fn read(&self) {
        if !self.record.is_due() {
            return;
        }
        let reading = async { statistics::parse(&self.ask().await?, &self.address.backend) };
        let reading = time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err(Trouble::late(PATIENCE)));
        match reading.and_then(|reading| self.take(reading)) {
            Ok(()) => self.record.succeeded(),
            Err(trouble) => self.record.failed(&trouble, advice(&trouble)),
        }
    }

    /// The statistics of the backend and of its servers. HAProxy closes the connection after its answer.
    async fn ask(&self) -> Result<String, Trouble> {
        const BACKEND_AND_SERVERS: u8 = 2 | 4;
        let command = format!("show stat {} {BACKEND_AND_SERVERS} -1\n", self.address.backend);
        match &self.address.socket {
            HaProxySocket::Tcp(authority) => exchange(TcpStream::connect(authority.as_str()).await?, &command).await,
            #[cfg(unix)]
            HaProxySocket::Unix(path) => exchange(tokio::net::UnixStream::connect(path).await?, &command).await,
            #[cfg(not(unix))]
            HaProxySocket::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
        }
    }

    /// Processes a reading; an error if it shows that every server is down.
    fn take(&self, reading: Reading) -> Result<(), Trouble> {
        let capacity = self.capacity.or(reading.capacity);
        self.record.misses(capacity.is_none().then(|| {
            format!(
                "a server of the backend `{}` has no maxconn, so it is unknown how many requests it takes: set one in \
                 HAProxy, or watch.capacity here",
                self.address.backend
            )
        }));
        self.record.shows(Figures {
            pool_size: capacity.unwrap_or_default(),
            capacity: capacity.unwrap_or_default(),
            checked_out: reading.in_progress,
            waiting: Some(reading.queued),
            ..Figures::default()
        });
        let is_down = reading.is_down;
        let mut seen = self.seen();
        if self.record.has_failed() {
            // What came meanwhile did not come in this moment.
            seen.previous = None;
        }
        seen.count(reading);
        if capacity.is_none() {
            seen.traffic = None;
        }
        if is_down {
            return Err(Trouble::Silent(format!("all servers of the backend `{}` are down", self.address.backend)));
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, command: &str) -> Result<String, Trouble> {
    stream.write_all(command.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES + 1).read_to_end(&mut answer).await?;
    if answer.len() as u64 > MOST_BYTES {
        return Err(Trouble::Unclear(format!("HAProxy's answer is longer than {MOST_BYTES} bytes")));
    }
    String::from_utf8(answer).map_err(|_| Trouble::Unclear("HAProxy's answer is not text".to_owned()))
}

fn advice(trouble: &Trouble) -> Option<String> {
    match trouble {
        Trouble::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            Some("HAProxy needs `stats socket /path/admin.sock` in its section `global`".to_owned())
        }
        Trouble::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("This user may not use the socket: `stats socket … mode 660 group …`".to_owned())
        }
        _ => None,
    }
}

impl Seen {
    /// Adds the traffic since the previous reading.
    fn count(&mut self, reading: Reading) {
        let mut traffic = self.traffic.unwrap_or_default();
        // Smaller totals mean that HAProxy was restarted.
        let is_later = |previous: &&Reading| previous.arrived <= reading.arrived && previous.failed <= reading.failed;
        if let Some(previous) = self.previous.as_ref().filter(is_later) {
            let inside = |reading: &Reading| i64::from(reading.in_progress) + i64::from(reading.queued);
            let rejected = reading.failed - previous.failed;
            let arrived = reading.arrived - previous.arrived;
            traffic.arrivals += arrived;
            traffic.rejected += rejected;
            self.served += arrived.cast_signed() - rejected.cast_signed() - (inside(&reading) - inside(previous));
        }
        traffic.in_use = reading.in_progress;
        traffic.waiting = reading.queued;
        traffic.oldest_wait = if reading.queued > 0 { reading.queue_time } else { Duration::ZERO };
        traffic.completed = traffic.completed.max(u64::try_from(self.served).unwrap_or_default());
        self.traffic = Some(traffic);
        self.previous = Some(reading);
    }
}

impl WatchedPool for HaProxy {
    fn backend(&self) -> Option<Backend> {
        None
    }

    fn figures(&self) -> Figures {
        self.record.figures()
    }

    fn connect_history(&self) -> ConnectHistory {
        self.record.contact()
    }

    fn refresh(&self) -> Option<BoxFuture<'_, ()>> {
        Some(Box::pin(self.read()))
    }

    fn visibility(&self) -> Visibility {
        Visibility::Shown(if self.record.has_failed() { None } else { self.seen().traffic })
    }

    fn blind_spot(&self) -> Option<BlindSpot> {
        self.record.blind_spot()
    }
}
