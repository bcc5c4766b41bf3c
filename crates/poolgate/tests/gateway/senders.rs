//! Who sent a request, as the app is told.

use crate::{
    client::ask,
    front::{front, front_with},
    raw_app::{RawApp, ok},
};

fn field(request: &str, name: &str) -> Option<String> {
    let values: Vec<_> = request
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "))
        .filter(|(this, _)| this.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect();
    assert!(values.len() <= 1, "{name}: {values:?}");
    values.into_iter().next()
}

const LIES: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6, 198.51.100.1\r\nX-Forwarded-Proto: \
                    https\r\nForwarded: for=6.6.6.6\r\n\r\n";

/// T13.
#[tokio::test]
async fn the_word_of_a_stranger_is_replaced_and_that_of_a_trusted_proxy_is_extended() {
    let app = RawApp::answering(ok("fine")).await;
    let stranger = front(app.address).await;
    ask(stranger.address, LIES).await;
    let seen = app.requests().pop().expect("a request");
    assert_eq!(field(&seen, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(field(&seen, "x-forwarded-host").as_deref(), Some("shop.example"));
    assert_eq!(field(&seen, "forwarded").as_deref(), Some(r#"for=127.0.0.1;proto=http;host="shop.example""#));
    assert_eq!(field(&seen, "host").as_deref(), Some("shop.example"));
    let trusted = front_with(app.address, |settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    ask(trusted.address, LIES).await;
    let seen = app.requests().pop().expect("a request");
    assert_eq!(field(&seen, "x-forwarded-for").as_deref(), Some("6.6.6.6, 198.51.100.1, 127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto").as_deref(), Some("https"));
    let forwarded = r#"for=6.6.6.6, for=127.0.0.1;proto=http;host="shop.example""#;
    assert_eq!(field(&seen, "forwarded").as_deref(), Some(forwarded));
}
