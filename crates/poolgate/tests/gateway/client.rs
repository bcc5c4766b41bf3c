//! A client that sends bytes as they are, and reads answers byte by byte.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the gateway.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the fields, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What came after the last chunk.
    pub(crate) trailers: String,
}

impl Answer {
    /// A field's value, if it is there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (this, value) = line.split_once(':')?;
            this.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a connection"), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// The next answer to a request that was no HEAD; `None` when the connection ends before it is whole.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        time::timeout(PATIENCE, self.whole_answer(method)).await.expect("an answer in time")
    }

    async fn whole_answer(&mut self, method: &str) -> Option<Answer> {
        let head = String::from_utf8_lossy(&self.until(b"\r\n\r\n").await?).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new() };
        if method == "HEAD" || status < 200 || matches!(status, 204 | 304) {
            return Some(answer);
        }
        if answer.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.until(b"\r\n").await?;
                let size = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
                if size == 0 {
                    break;
                }
                let chunk = self.exactly(size + 2).await?;
                answer.body.extend_from_slice(&chunk[..size]);
            }
            loop {
                let line = self.until(b"\r\n").await?;
                if line == b"\r\n" {
                    return Some(answer);
                }
                answer.trailers.push_str(&String::from_utf8_lossy(&line));
            }
        }
        match answer.field("content-length").map(|length| length.parse().expect("a length")) {
            Some(length) => answer.body = self.exactly(length).await?,
            None => answer.body = self.rest().await,
        }
        Some(answer)
    }

    /// Everything up to and with these bytes.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while time::timeout(PATIENCE, self.more()).await.expect("the connection ends").is_some() {}
        std::mem::take(&mut self.read)
    }

    /// Whether the connection has ended, without another answer.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0; 64 << 10];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.read.extend_from_slice(&piece[..count]);
                Some(())
            }
        }
    }
}

/// One request on a connection of its own; its answer must be whole.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(&request).await;
    let method = String::from_utf8_lossy(request.as_ref()).split(' ').next().unwrap_or_default().to_owned();
    client.answer_to(&method).await.expect("an answer")
}

/// A plain GET.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n")).await
}
