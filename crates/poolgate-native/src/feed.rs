//! Keeps one client informed about the config, on an event stream of its own.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use poolgate_throttle::News;
use poolgate_types::{
    Bye, routes,
    timing::{ANSWER_TIMEOUT, RETRY, RETURN_WITHIN, SILENCE},
};
use tokio::{sync::mpsc, time};

use crate::{
    events::{Event, EventReader},
    http::HttpClient,
};

/// News that the user has not yet taken in; the stream waits while it is full.
pub(super) const BACKLOG: usize = 8;

/// Follows the event stream under a random id and passes on what it says, until the client is gone or the server turns
/// out to have no such route. A stream that ends or cannot be opened is opened again.
pub(super) async fn follow(http: HttpClient, mut random: fastrand::Rng, news: mpsc::Sender<News>) {
    let path = format!("{}?client={:016x}", routes::EVENTS, random.u64(..));
    let mut within = RETURN_WITHIN;
    loop {
        let end = match time::timeout(ANSWER_TIMEOUT, http.stream(&path)).await {
            Ok(Ok((StatusCode::OK, body))) => read(body, &news, &mut within).await,
            Ok(Ok((StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED, _))) => {
                // Without a receiver there is nothing left to do.
                news.send(News::NotFound).await.ok();
                return;
            }
            Ok(Ok(_) | Err(_)) | Err(_) => End::NoContact,
        };
        let heard = match end {
            End::Bye => Ok(()),
            End::NoContact => news.send(News::NoContact).await,
            End::NobodyListens => return,
        };
        if heard.is_err() {
            return;
        }
        time::sleep(RETRY + within.mul_f64(random.f64())).await;
    }
}

/// Why a stream ended.
enum End {
    /// The server announced it: it is shutting down.
    Bye,
    NoContact,
    NobodyListens,
}

/// Passes on the stream's news, and returns the reconnect window at its end.
async fn read(mut body: hyper::body::Incoming, news: &mpsc::Sender<News>, within: &mut Duration) -> End {
    let mut reader = EventReader::default();
    loop {
        let Ok(Some(Ok(frame))) = time::timeout(SILENCE, body.frame()).await else { return End::NoContact };
        let Ok(bytes) = frame.into_data() else { continue };
        let Ok(events) = reader.read(&bytes) else { return End::NoContact };
        for event in events {
            if matches!(event.name.as_str(), "heartbeat" | "bye")
                && let Ok(Bye { return_within_ms }) = serde_json::from_str(&event.data)
            {
                *within = Duration::from_millis(return_within_ms.into());
            }
            if event.name == "bye" {
                return End::Bye;
            }
            // Malformed and unknown events are ignored.
            if let Some(heard) = understand(&event)
                && news.send(heard).await.is_err()
            {
                return End::NobodyListens;
            }
        }
    }
}

fn understand(event: &Event) -> Option<News> {
    match event.name.as_str() {
        "config" => serde_json::from_str(&event.data).ok().map(News::Config),
        "heartbeat" => serde_json::from_str(&event.data).ok().map(News::Current),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use poolgate_types::{ConfigVersion, ThrottlingConfig};

    use super::*;

    #[test]
    fn configs_and_heartbeats_are_understood_and_the_rest_is_ignored() {
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        let at = ConfigVersion { epoch: 5, version: 7 };
        assert_eq!(understand(&event("heartbeat", r#"{"epoch":5,"version":7}"#)), Some(News::Current(at)));
        let config = ThrottlingConfig::normal(at);
        let document = serde_json::to_string(&config).expect("a document");
        assert_eq!(understand(&event("config", &document)), Some(News::Config(config)));
        assert_eq!(understand(&event("config", "{")), None);
        assert_eq!(understand(&event("status", "{}")), None);
    }
}
