//! A raw connection that can write any bytes and read at any speed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

/// Deadline of a connect or a write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// The most bytes read from one connection.
const MOST_BYTES: usize = 4 << 20;
/// Receive buffer of a slow reader.
const SMALL_BUFFER: u32 = 4 * 1024;

pub(super) struct Socket(TcpStream);

impl Socket {
    /// Connects from this local address.
    pub(super) async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        Ok(Self(timeout(PATIENCE, socket.connect(to)).await??))
    }

    /// Connects with a small receive buffer, so that the server notices a slow reader.
    pub(super) async fn connect_with_small_buffer(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
        socket.bind((from, 0).into())?;
        Ok(Self(timeout(PATIENCE, socket.connect(to)).await??))
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(bytes)).await?
    }

    /// Writes byte by byte.
    pub(super) async fn trickle(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.write(&[*byte]).await?;
            sleep(pause).await;
        }
        Ok(())
    }

    /// Reads one answer with a length: its status and its body.
    pub(super) async fn answer(&mut self, patience: Duration) -> io::Result<(u16, Vec<u8>)> {
        timeout(patience, async {
            let mut bytes = Vec::new();
            let end = loop {
                if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                if bytes.len() > MOST_HEAD_BYTES || self.0.read_buf(&mut bytes).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let (status, length): (u16, usize) = (status.ok_or(io::ErrorKind::InvalidData)?, length.unwrap_or(0));
            let mut body = bytes.split_off(end);
            while body.len() < length.min(MOST_HEAD_BYTES) {
                if self.0.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok((status, body))
        })
        .await?
    }

    /// Reads `per_second` bytes a second until the other end closes, for at most `patience`.
    pub(super) async fn sip(&mut self, per_second: usize, patience: Duration) -> io::Result<Vec<u8>> {
        const TURN: Duration = Duration::from_millis(100);
        let mut gulp = vec![0; (per_second / 10).max(1)];
        let mut all = Vec::new();
        timeout(patience, async {
            while all.len() < MOST_BYTES {
                match self.0.read(&mut gulp).await? {
                    0 => break,
                    bytes => all.extend_from_slice(&gulp[..bytes]),
                }
                sleep(TURN).await;
            }
            Ok(all)
        })
        .await?
    }

    /// Waits until the other end closes, for at most `longest`.
    pub(super) async fn linger(&mut self, longest: Duration) {
        let mut rest = [0; 1024];
        let closed = async { while matches!(self.0.read(&mut rest).await, Ok(bytes) if bytes > 0) {} };
        // Both are an end.
        timeout(longest, closed).await.ok();
    }
}
