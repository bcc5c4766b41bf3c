//! Others do not keep the admin from cleaning up.

use std::time::Duration;

use http::StatusCode;
use poolgate_server::settings::Secret;
use poolgate_test_harness::server;
use poolgate_types::routes;

const TOKEN: &str = "a token of some length";

#[tokio::test]
async fn those_without_a_token_do_not_keep_the_admin_from_cleaning_up() {
    let server = server(|settings| settings.server.admin_token = Some(Secret::new(TOKEN))).await;
    let admin = [("authorization", "Bearer a token of some length")];
    assert_eq!(server.post(routes::FORCE_CLEANUP, &[]).await.status, StatusCode::OK);
    assert_eq!(server.post(routes::FORCE_CLEANUP, &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(server.post(routes::FORCE_CLEANUP, &admin).await.status, StatusCode::OK);
    let again = server.post(routes::FORCE_CLEANUP, &admin).await;
    assert_eq!((again.status, again.problem().code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "cleanup_cooldown"));
}

#[tokio::test]
async fn a_token_cannot_be_guessed_for_long() {
    let server = server(|settings| settings.server.admin_token = Some(Secret::new(TOKEN))).await;
    for guess in 0..10 {
        let guess = format!("Bearer a token of some length{guess}");
        let refused = server.post(routes::FORCE_CLEANUP, &[("authorization", &guess)]).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    for token in ["Bearer another guess of mine", "Bearer a token of some length"] {
        let refused = server.post(routes::FORCE_CLEANUP, &[("authorization", token)]).await;
        assert_eq!(
            (refused.status, refused.problem().code.as_str()),
            (StatusCode::TOO_MANY_REQUESTS, "too_many_guesses")
        );
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((1..=Duration::from_secs(60).as_secs()).contains(&wait), "{wait}");
    }
    assert_eq!(server.post(routes::FORCE_CLEANUP, &[]).await.status, StatusCode::OK, "without a token");
}
