//! A socket that is handed over (LISTEN_FDS): the program restarts under load, and no connection is refused.

use std::{
    io::{BufRead, BufReader, Read, Seek, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::gateway::app;

const RESTARTS: u32 = 100;

/// Starts the program with the socket as descriptor 3, as systemd does.
fn start(socket: &TcpListener, app: SocketAddr) -> Child {
    let mut log = tempfile::tempfile().expect("a file");
    const HAND_OVER: &str = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#;
    let socket: OwnedFd = socket.try_clone().expect("another handle").into();
    let mut child = Command::new("/bin/sh")
        .args(["-c", HAND_OVER, "sh", env!("CARGO_BIN_EXE_poolgate"), "serve", "--upstream", &format!("http://{app}")])
        .env_remove("DATABASE_URL")
        .env("POOLGATE_SERVER__ADMIN_BIND", "127.0.0.1:0")
        .stdin(socket)
        .stdout(Stdio::piped())
        .stderr(log.try_clone().expect("another handle"))
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    if !line.contains("Poolgate listening on http://") {
        let mut said = String::new();
        log.rewind().and_then(|()| log.read_to_string(&mut said)).expect("text");
        panic!("{:?}: {said}", child.wait());
    }
    child
}

fn stop(mut child: Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    assert!(child.wait().expect("ended").success());
}

fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.ends_with("the app") { Ok(()) } else { Err(std::io::Error::other(format!("answered {answer:?}"))) }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn no_connection_is_refused_while_it_restarts_under_load() {
    let (app, socket) = (app(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = socket.local_addr().expect("an address");
    let (served, done, failures) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    let begun = Instant::now();
    thread::scope(|scope| {
        // Also if a start fails.
        let is_over = SetWhenDropped(&done);
        for _ in 0..6 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    match ask(address) {
                        Ok(()) => served.fetch_add(1, Relaxed),
                        Err(error) => {
                            failures.lock().expect("whole").push(error.to_string());
                            0
                        }
                    };
                }
            });
        }
        for _ in 0..RESTARTS {
            let child = start(&socket, app);
            let before = served.load(Relaxed);
            let started = Instant::now();
            while served.load(Relaxed) < before + 100 && started.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(5));
            }
            stop(child);
        }
        // Those that wait now are served by the last one.
        let last = start(&socket, app);
        drop(is_over);
        thread::sleep(Duration::from_millis(500));
        stop(last);
    });
    let (served, failures) = (served.load(Relaxed), failures.into_inner().expect("whole"));
    println!("{RESTARTS} restarts, {served} requests, {} failures in {:?}", failures.len(), begun.elapsed());
    assert!(served >= u64::from(RESTARTS) * 100, "{served}");
    assert!(failures.is_empty(), "{} of {served}: {:?}", failures.len(), &failures[..failures.len().min(5)]);
}
