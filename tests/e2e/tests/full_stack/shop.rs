//! The sample app's routes.

use anyhow::Result;
use http::{Method, StatusCode};
use poolgate::demo::{
    load::{LoadReport, LoadState},
    routes as demo,
};
use poolgate_types::{CONFIG_HEADER, ConfigHeader};
use serde_json::{Value, json};

use crate::{comes_to_rest, on_both, share};

#[tokio::test]
async fn the_shop_sells_and_says_why_it_rejects_an_order() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let answer = server.get("/api/v1/shop/products?search=OAK&page=2").await?;
        let found: Value = answer.json()?;
        let header: ConfigHeader = answer.header(CONFIG_HEADER).unwrap_or_default().parse()?;
        assert!(!header.open);
        assert_eq!(found["products"].as_array().map(Vec::len), Some(20));
        assert!(found["products"][0]["name"].as_str().is_some_and(|name| name.contains("Oak")), "{found}");

        let page = async || server.get("/api/v1/shop/products/7").await?.json::<Value>();
        let before = page().await?;
        let order = |product: i64, quantity: i64| {
            json!({ "customer_id": 3, "lines": [{ "product_id": product, "quantity": quantity }] })
        };
        let answer = server.client().post_json("/api/v1/shop/orders", &order(7, 5)).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        assert!(answer.header("location").is_some());
        let placed: Value = answer.json()?;
        assert_eq!(placed["total_cents"].as_i64(), before["price_cents"].as_i64().map(|price| 5 * price));
        let after = page().await?;
        assert_eq!(after["stock"].as_i64(), before["stock"].as_i64().map(|stock| stock - 5));
        assert_eq!(after["sales"]["units"].as_i64(), before["sales"]["units"].as_i64().map(|units| units + 5));

        // The second line cannot be served, so the whole order is rejected.
        let both = json!({ "customer_id": 3, "lines": [
            { "product_id": 7, "quantity": 1 }, { "product_id": 99_999_999, "quantity": 1 },
        ] });
        for (order, status) in [
            (both, StatusCode::UNPROCESSABLE_ENTITY),
            (order(7, 101), StatusCode::UNPROCESSABLE_ENTITY),
            (json!({ "customer_id": 99_999_999, "lines": order(7, 1)["lines"] }), StatusCode::UNPROCESSABLE_ENTITY),
            (json!({ "customer_id": 3, "lines": [] }), StatusCode::UNPROCESSABLE_ENTITY),
            (json!({ "customer_id": 3 }), StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            let answer = server.client().post_json("/api/v1/shop/orders", &order).await?;
            assert_eq!(answer.status, status, "{order}");
            answer.problem()?;
        }
        assert_eq!(page().await?["stock"], after["stock"]);

        let report: Value = server.get("/api/v1/shop/reports/sales").await?.json()?;
        assert_eq!(report["categories"].as_array().map(Vec::len), Some(8));

        for (path, status) in [
            ("/api/v1/shop/products/99999999", StatusCode::NOT_FOUND),
            ("/api/v1/shop/products/seven", StatusCode::BAD_REQUEST),
            ("/api/v1/shop/products?page=0", StatusCode::BAD_REQUEST),
            ("/api/v1/shop/products?serch=oak", StatusCode::BAD_REQUEST),
            ("/api/v1/lab/hold?hold_ms=10001", StatusCode::BAD_REQUEST),
            ("/api/v1/lab/hold?hold_ms=-1", StatusCode::BAD_REQUEST),
        ] {
            let answer = server.get(path).await?;
            assert_eq!(answer.status, status, "{path}");
            answer.problem()?;
        }
        comes_to_rest(server).await
    })
    .await
}

#[tokio::test]
async fn concurrent_orders_for_the_same_products_succeed() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let stock = async || -> Result<i64> {
            let page: Value = server.get("/api/v1/shop/products/11").await?.json()?;
            page["stock"].as_i64().ok_or_else(|| anyhow::anyhow!("{page}"))
        };
        let before = stock().await?;
        let mut orders = tokio::task::JoinSet::new();
        for number in 0..20 {
            let client = server.client().clone();
            // In both orders: they must not block each other.
            let (first, second) = if number % 2 == 0 { (11, 12) } else { (12, 11) };
            let order = json!({ "customer_id": 1 + number, "lines": [
                { "product_id": first, "quantity": 1 }, { "product_id": second, "quantity": 1 },
            ] });
            orders.spawn(async move { client.post_json("/api/v1/shop/orders", &order).await });
        }
        for answer in orders.join_all().await {
            assert_eq!(answer?.status, StatusCode::CREATED);
        }
        assert_eq!(stock().await?, before - 20);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_load_at_a_time_is_started_watched_and_stopped() -> Result<()> {
    let _machine = share().await;
    on_both(async |server, _| {
        let report = async || server.get(demo::LAB_LOAD).await?.json::<LoadReport>();
        assert_eq!(report().await?.state, LoadState::Idle);
        let load = |users: u32| {
            json!({ "users": users, "requests_per_second": 20.0, "hold_ms": 10, "poolgate": true, "seconds": 60 })
        };
        let start = async |load: Value| server.client().post_json(demo::LAB_LOAD, &load).await;
        for wrong in [load(0), load(2_001), json!({ "users": 1 })] {
            let answer = start(wrong).await?;
            assert!(answer.status.is_client_error());
            answer.problem()?;
        }
        assert_eq!(start(load(10)).await?.status, StatusCode::ACCEPTED);
        let answer = start(load(10)).await?;
        assert_eq!((answer.status, &*answer.problem()?.code), (StatusCode::CONFLICT, "load_running"));
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let running = report().await?;
        assert_eq!(running.state, LoadState::Running);
        assert!(running.succeeded > 10 && running.failed == 0 && running.rejected == 0, "{running:?}");
        assert_eq!(server.status().await?.clients.live, 10, "each user has its own stream");

        let stopped = server.client().send(Method::DELETE, demo::LAB_LOAD, &[], "").await?;
        let ended: LoadReport = stopped.json()?;
        assert_eq!((ended.state, ended.queued), (LoadState::Ended, 0));
        assert_eq!(ended.wanted, ended.sent + ended.given_up);
        assert!(ended.sent >= ended.succeeded + ended.rejected + ended.failed, "{ended:?}");
        assert_eq!(report().await?, ended);
        comes_to_rest(server).await
    })
    .await
}
