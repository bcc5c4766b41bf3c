//! A wire between pool and server that can be cut without either end being told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a port of this machine until it is told to be silent: then it takes connections and bytes
/// and lets nothing through, as a firewall does that has forgotten a connection. It works as long as the tokio runtime
/// that it was made in.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: Arc<AtomicU16>,
    silent: watch::Sender<bool>,
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
        let target = Arc::new(AtomicU16::new(port));
        let current = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, current.load(Relaxed), watched.clone()));
            }
        });
        Ok(Self { address, target, silent })
    }

    /// The address of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    /// From now on new connections lead to another port, as a name does after a failover; those that are open stay.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Relaxed);
    }

    /// Cuts all connections; neither end is told. New ones are accepted, and nothing more.
    pub fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// From now on new connections get through; those that were cut stay cut.
    pub fn restore(&self) {
        self.silent.send_replace(false);
    }
}

async fn connect(mut client: TcpStream, port: u16, mut silent: watch::Receiver<bool>) -> io::Result<()> {
    if !*silent.borrow_and_update() {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut server) => return ended.map(drop),
            _ = silent.wait_for(|silent| *silent) => {}
        }
        // Both ends stay open and hear nothing more.
        return std::future::pending().await;
    }
    std::future::pending().await
}
