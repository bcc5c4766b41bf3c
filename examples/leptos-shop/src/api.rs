//! The shop's API, as the demo serves it.

use gloo_net::http::{Request, Response};
use poolgate_web::{Client, IntoRequest, Priority};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize)]
pub struct Found {
    pub products: Vec<Product>,
    pub total: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    pub id: i64,
    pub name: String,
    pub price_cents: i64,
    pub stock: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    #[serde(flatten)]
    pub product: Product,
    pub bought_together: Vec<Companion>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Companion {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub id: i64,
    pub total_cents: i64,
}

#[derive(Serialize)]
struct NewOrder {
    customer_id: i64,
    lines: [Line; 1],
}

#[derive(Serialize)]
struct Line {
    product_id: i64,
    quantity: i64,
}

pub async fn search(client: &Client, text: &str) -> Result<Found, String> {
    fetch(client, Priority::Normal, Request::get("/api/v1/shop/products").query([("search", text)])).await
}

pub async fn page(client: &Client, id: i64) -> Result<Page, String> {
    fetch(client, Priority::Normal, Request::get(&format!("/api/v1/shop/products/{id}"))).await
}

/// Looking at many products can wait for everything else.
pub async fn glance(client: &Client, id: i64) -> Result<Page, String> {
    fetch(client, Priority::Low, Request::get(&format!("/api/v1/shop/products/{id}"))).await
}

/// An order goes before everything that waits.
pub async fn order(client: &Client, id: i64) -> Result<Order, String> {
    let order = NewOrder { customer_id: 1, lines: [Line { product_id: id, quantity: 1 }] };
    fetch(client, Priority::Critical, Request::post("/api/v1/shop/orders").json(&order)).await
}

async fn fetch<T: for<'a> Deserialize<'a>>(
    client: &Client,
    priority: Priority,
    request: impl IntoRequest,
) -> Result<T, String> {
    let answer = client.fetch_with(priority, request).await.map_err(|error| match error.retry_after() {
        Some(wait) => format!("{error}; again in {} s", wait.as_secs() + 1),
        None => error.to_string(),
    })?;
    read(answer).await
}

async fn read<T: for<'a> Deserialize<'a>>(answer: Response) -> Result<T, String> {
    if !answer.ok() {
        return Err(format!("the server answered {}", answer.status()));
    }
    answer.json().await.map_err(|error| error.to_string())
}

pub fn price(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
