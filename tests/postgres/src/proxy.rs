//! A connection between pool and server that can be cut without telling either end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Forwards connections to a local port until it is silenced. Then it accepts connections and bytes and forwards
/// nothing, like a firewall that has forgotten a connection. It works as long as the tokio runtime in which it was
/// created.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    silent: watch::Sender<bool>,
    way: Arc<Way>,
}

/// What happens to a new connection.
#[derive(Debug)]
struct Way {
    port: AtomicU16,
    delay_millis: AtomicU64,
}

impl Proxy {
    /// Listens on a free port and forwards to `port`, both on 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
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

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    /// Silences all connections without telling either end. New ones are accepted and stay silent.
    pub fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// Forwards new connections again; silenced ones stay silent.
    pub fn restore(&self) {
        self.silent.send_replace(false);
    }

    /// Delays each new connection by this time, like a network or TLS; zero ends the delay.
    pub fn delay_connects(&self, delay: Duration) {
        self.way.delay_millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Forwards new connections to this port of 127.0.0.1; open ones stay where they are.
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
        // Both ends stay open but receive nothing more.
        return std::future::pending().await;
    }
    std::future::pending().await
}
