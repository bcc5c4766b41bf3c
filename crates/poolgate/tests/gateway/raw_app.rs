//! Apps that answer with bytes as they are, and remember what they were sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// An app.
#[derive(Clone)]
pub(crate) struct RawApp {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

/// What an app does after its answer.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Keep,
    Close,
}

impl RawApp {
    /// Answers each request with what `script` makes of it.
    pub(crate) async fn start(script: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.expect("a port"), script)
    }

    /// The same on this listener.
    pub(crate) fn at(listener: TcpListener, script: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Self {
        let app = Self {
            address: listener.local_addr().expect("an address"),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (script, started) = (Arc::new(script), app.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (app, script) = (started.clone(), Arc::clone(&script));
                tokio::spawn(async move { app.serve(stream, &*script).await });
            }
        });
        app
    }

    /// Answers each request in the same way, and keeps the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| (answer.clone(), Then::Keep)).await
    }

    async fn serve(self, mut stream: TcpStream, script: &(dyn Fn(&str) -> (Vec<u8>, Then) + Send + Sync)) {
        let (mut read, mut is_new) = (Vec::new(), true);
        loop {
            while whole(&read).is_none() {
                let mut piece = vec![0; 64 << 10];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => read.extend_from_slice(&piece[..count]),
                }
            }
            let length = whole(&read).expect("whole");
            let request = String::from_utf8_lossy(&read.drain(..length).collect::<Vec<_>>()).into_owned();
            let (answer, then) = script(&request);
            self.requests.lock().expect("a lock").push(request);
            self.connections.fetch_add(usize::from(std::mem::take(&mut is_new)), SeqCst);
            if stream.write_all(&answer).await.is_err() || then == Then::Close {
                return;
            }
        }
    }

    /// The requests so far, with their bodies, as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a lock").clone()
    }

    /// Connections that have carried a request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

/// The length of the first request, once it is whole.
fn whole(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let end = read[head..].windows(5).position(|window| window == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().expect("a length"));
    (read.len() >= head + length).then_some(head + length)
}

/// An answer with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
