//! Users who come at a steady pace, also while earlier ones wait or fail.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};

/// How long a user waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of their requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests sent.
    pub sent: u32,
    /// Answered 200 in time.
    pub succeeded: u32,
    /// Answered 503 with `Poolgate-Outcome`: turned away by the gate.
    pub turned_away: u32,
    /// Answered with another status.
    pub failed: u32,
    /// Not answered in time.
    pub late: u32,
    /// From the request to the answer of those that succeeded, the shortest first.
    pub times: Vec<Duration>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, succeeded, turned_away, failed, late, .. } = self;
        let [half, most] = [0.5, 0.99].map(|share| self.quantile(share).as_millis());
        write!(f, "{sent} sent: {succeeded} served (p50 {half} ms, p99 {most} ms), {turned_away} turned away, ")?;
        write!(f, "{failed} failed, {late} late")
    }
}

enum Answer {
    Success(Duration),
    TurnedAway,
    Failure,
    Late,
}

impl Outcome {
    /// The time within which this share of the successes was answered.
    pub fn quantile(&self, share: f64) -> Duration {
        // `as` saturates.
        let index = (self.times.len() as f64 * share) as usize;
        self.times.get(index.min(self.times.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn note(&mut self, answer: &Answer) {
        match answer {
            Answer::Success(time) => {
                self.succeeded += 1;
                self.times.push(*time);
            }
            Answer::TurnedAway => self.turned_away += 1,
            Answer::Failure => self.failed += 1,
            Answer::Late => self.late += 1,
        }
    }
}

/// Sends this many requests a second for this path, each on a connection of its own.
pub async fn load(address: SocketAddr, path: &str, per_second: f64, lasting: Duration) -> Outcome {
    let interval = Duration::from_secs_f64(1.0 / per_second);
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    let (mut users, mut outcome, begun) = (JoinSet::new(), Outcome::default(), Instant::now());
    let mut pace = time::interval(interval);
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Burst);
    while begun.elapsed() < lasting {
        pace.tick().await;
        outcome.sent += 1;
        users.spawn(ask(address, request.clone()));
        while let Some(Ok(answer)) = users.try_join_next() {
            outcome.note(&answer);
        }
    }
    for answer in users.join_all().await {
        outcome.note(&answer);
    }
    outcome.times.sort_unstable();
    outcome
}

async fn ask(address: SocketAddr, request: String) -> Answer {
    let begun = Instant::now();
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match time::timeout(PATIENCE, answer).await {
        Err(_) => Answer::Late,
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => Answer::Success(begun.elapsed()),
        Ok(Ok(answer)) if answer.contains("poolgate-outcome: ") => Answer::TurnedAway,
        Ok(_) => Answer::Failure,
    }
}
