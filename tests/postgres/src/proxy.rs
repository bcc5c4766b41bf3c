//! A wire between pool and server that can be cut without either end being told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Forwards connections to a port of this machine until it is told to be silent: then it takes connections and bytes
/// and lets nothing through, as a firewall does that has forgotten a connection. It works as long as the tokio runtime
/// that it was made in.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    silent: watch::Sender<bool>,
    way: Arc<Way>,
}

/// What a new connection meets.
#[derive(Debug)]
struct Way {
    port: AtomicU16,
    delay_millis: AtomicU64,
}

impl Proxy {
    /// Listens on a free port and forwards to `port`, both on 127.0.0.1.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (silent, watched) = watch::channel(false);
        let way = Arc::new(Way { port: AtomicU16::new(port), delay_millis: AtomicU64::new(0) });
        let seen = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, Arc::clone(&seen), watched.clone()));
            }
        });
        Ok(Self { address, silent, way })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    /// Cuts all connections; neither end is told. New ones are accepted, and nothing more.
    pub fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// From now on new connections get through; those that were cut stay cut.
    pub fn restore(&self) {
        self.silent.send_replace(false);
    }

    /// From now on each new connection waits this long before it is forwarded, as behind a network or TLS; zero ends that.
    pub fn delay_connects(&self, delay: Duration) {
        self.way.delay_millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// From now on new connections are forwarded to this port of 127.0.0.1; those that are open stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.way.port.store(port, Relaxed);
    }
}

async fn connect(mut client: TcpStream, way: Arc<Way>, mut silent: watch::Receiver<bool>) -> io::Result<()> {
    if !*silent.borrow_and_update() {
        sleep(Duration::from_millis(way.delay_millis.load(Relaxed))).await;
        let mut server = TcpStream::connect(("127.0.0.1", way.port.load(Relaxed))).await?;
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut server) => return ended.map(drop),
            _ = silent.wait_for(|silent| *silent) => {}
        }
        // Both ends stay open and hear nothing more.
        return std::future::pending().await;
    }
    std::future::pending().await
}
