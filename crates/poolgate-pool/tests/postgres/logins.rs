//! Logins that the server refuses.

use std::time::Duration;

use poolgate_pool::AcquireError;
use sqlx::postgres::PgConnectOptions;

use super::{Pool, PoolConfig, Postgres, Result, SERVER, config};

/// `url` with another user.
async fn refused(options: PgConnectOptions) -> Result<AcquireError> {
    let config = PoolConfig { acquire_timeout: Duration::from_secs(10), ..config(2, 0) };
    let pool = Pool::<Postgres>::builder(options).config(config).build()?;
    let error = pool.acquire().await.unwrap_err();
    let contact = pool.connect_history();
    assert!(contact.failing.is_some() && contact.retry_in.is_some_and(|pause| pause > Duration::from_millis(400)));
    // The pool does not connect during the pause: the same error comes at once.
    for _ in 0..100 {
        assert!(pool.acquire().await.is_err());
    }
    assert!(pool.connect_history().consecutive_failures <= 2, "{:?}", pool.connect_history());
    Ok(error)
}

#[tokio::test]
async fn a_user_a_database_and_parameters_that_the_server_does_not_take_are_named_and_left_alone() -> Result {
    let options = || SERVER.url("postgres").parse::<PgConnectOptions>();
    for (options, reason) in [
        (options()?.username("nobody_at_all"), "nobody_at_all"),
        (options()?.database("no_such_database"), "no_such_database"),
        (options()?.options([("no_such_setting", "1")]), "no_such_setting"),
    ] {
        let error = refused(options).await?;
        assert!(matches!(error, AcquireError::LoginRefused(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    Ok(())
}
