//! Blocking requests to a local server of this project; JSON only.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any answer takes here.
const MAX_ANSWER: u64 = 16 << 20;

/// The body of the response; a status other than 2xx is an error.
pub(crate) fn request(server: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    // HTTP/1.0: the response ends with the connection and is never chunked.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the response is cut off in its headers")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        bail!("{method} {path}: {status}: {body}");
    }
    Ok(body.to_owned())
}

/// The response as JSON.
pub(crate) fn json(server: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    Ok(serde_json::from_str(&request(server, method, path, body)?)?)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while !lines.next().unwrap().unwrap().is_empty() {}
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_response_is_its_body() {
        let server = answering("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":1}");
        assert_eq!(json(server, "GET", "/", None).unwrap()["a"], 1);
    }

    #[test]
    fn an_error_status_is_an_error_with_its_body() {
        let server = answering("HTTP/1.0 503 Service Unavailable\r\n\r\nno database");
        let error = request(server, "GET", "/readyz", None).unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("no database"), "{error}");
    }
}
