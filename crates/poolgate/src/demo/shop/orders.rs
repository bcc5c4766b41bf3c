//! Places an order, in one transaction.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    response::IntoResponse,
};
use http::{StatusCode, header};
use poolgate_pool::Transaction;
use poolgate_server::GATED_TAG;
use poolgate_types::Problem;
use serde::{Deserialize, Serialize};
use sqlx::Any;

use super::rfc3339;
use crate::demo::{Demo, data, failure::Failure, routes, whole::number};

const MOST_LINES: usize = 20;
const MOST_UNITS: i64 = 100;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "customer_id": 1, "lines": [{ "product_id": 1, "quantity": 2 }] }))]
pub(in crate::demo) struct NewOrder {
    #[serde(deserialize_with = "number")]
    customer_id: i64,
    #[schema(min_items = 1, max_items = 20)]
    lines: Vec<NewLine>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLine {
    #[serde(deserialize_with = "number")]
    product_id: i64,
    #[schema(minimum = 1, maximum = 100)]
    #[serde(deserialize_with = "number")]
    quantity: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::demo) struct Order {
    id: i64,
    customer_id: i64,
    ordered_at: String,
    total_cents: i64,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Line {
    product_id: i64,
    quantity: i64,
    unit_price_cents: i64,
}

/// Places an order in one transaction.
#[utoipa::path(
    post,
    path = "/api/v1/shop/orders",
    tag = GATED_TAG,
    request_body = NewOrder,
    responses(
        (status = 201, description = "The order", body = Order, headers(("Location" = String))),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 409, description = "Not enough in stock", body = Problem),
        (status = 415, description = "The content type is not JSON", body = Problem),
        (status = 422, description = "An invalid order", body = Problem),
    )
)]
pub(in crate::demo) async fn place(
    State(demo): State<Demo>,
    order: Result<Json<NewOrder>, JsonRejection>,
) -> Result<impl IntoResponse, Failure> {
    let Json(order) = order.map_err(|rejection| Failure::Malformed(rejection.status(), rejection.body_text()))?;
    let NewOrder { customer_id, lines } = check(order)?;
    let ordered_at = jiff::Timestamp::now().as_second();

    let mut connection = demo.connection().await?;
    let mut transaction = data::begin_write(&mut connection).await?;
    let customer: Option<i64> = sqlx::query_scalar("SELECT id FROM customers WHERE id = $1")
        .bind(customer_id)
        .fetch_optional(&mut transaction)
        .await?;
    customer.ok_or_else(|| Failure::Invalid(format!("There is no customer {customer_id}.")))?;
    let id: i64 = sqlx::query_scalar("INSERT INTO orders (customer_id, ordered_at) VALUES ($1, $2) RETURNING id")
        .bind(customer_id)
        .bind(ordered_at)
        .fetch_one(&mut transaction)
        .await?;
    let mut placed = Vec::with_capacity(lines.len());
    for (line, number) in lines.into_iter().zip(1_i64..) {
        placed.push(add_line(&mut transaction, id, number, line).await?);
    }
    transaction.commit().await?;

    let total_cents = placed.iter().map(|line| line.quantity * line.unit_price_cents).sum();
    let order = Order { id, customer_id, ordered_at: rfc3339(ordered_at)?, total_cents, lines: placed };
    let location = format!("{}/orders/{id}", routes::SHOP_PREFIX);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(order)))
}

/// Checks the order without the database, and sorts its lines by product: orders that lock several products then lock
/// them in the same order, and cannot deadlock.
fn check(mut order: NewOrder) -> Result<NewOrder, Failure> {
    if !(1..=MOST_LINES).contains(&order.lines.len()) {
        return Err(Failure::Invalid(format!("`lines` must have from 1 to {MOST_LINES} entries.")));
    }
    if order.lines.iter().any(|line| !(1..=MOST_UNITS).contains(&line.quantity)) {
        return Err(Failure::Invalid(format!("`quantity` must be from 1 to {MOST_UNITS}.")));
    }
    order.lines.sort_by_key(|line| line.product_id);
    if let Some(twice) = order.lines.windows(2).find(|pair| pair[0].product_id == pair[1].product_id) {
        return Err(Failure::Invalid(format!("Product {} is in more than one line.", twice[0].product_id)));
    }
    Ok(order)
}

/// Takes the units out of stock, which locks the product until the end of the transaction, and inserts the line.
async fn add_line(
    transaction: &mut Transaction<'_, Any>,
    order_id: i64,
    number: i64,
    NewLine { product_id, quantity }: NewLine,
) -> Result<Line, Failure> {
    let price: Option<i64> = sqlx::query_scalar(
        "UPDATE products SET stock = stock - $1 WHERE id = $2 AND stock >= $1 RETURNING price_cents",
    )
    .bind(quantity)
    .bind(product_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(unit_price_cents) = price else {
        return Err(missing(transaction, product_id, quantity).await?);
    };
    sqlx::query(
        "INSERT INTO order_lines (order_id, line_number, product_id, quantity, unit_price_cents)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(order_id)
    .bind(number)
    .bind(product_id)
    .bind(quantity)
    .bind(unit_price_cents)
    .execute(&mut *transaction)
    .await?;
    Ok(Line { product_id, quantity, unit_price_cents })
}

async fn missing(transaction: &mut Transaction<'_, Any>, product_id: i64, quantity: i64) -> sqlx::Result<Failure> {
    let stock: Option<i64> = sqlx::query_scalar("SELECT stock FROM products WHERE id = $1")
        .bind(product_id)
        .fetch_optional(&mut *transaction)
        .await?;
    Ok(match stock {
        Some(stock) => Failure::Conflict(
            "out_of_stock",
            format!("The order is for {quantity} of product {product_id}, but only {stock} are in stock."),
        ),
        None => Failure::Invalid(format!("There is no product {product_id}.")),
    })
}
