//! The sales report: one query over all orders, a typical query that fills a pool.

use axum::{Json, extract::State};
use poolgate_server::GATED_TAG;
use serde::Serialize;

use crate::demo::{Demo, failure::Failure};

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::demo) struct SalesReport {
    total_revenue_cents: i64,
    categories: Vec<CategorySales>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CategorySales {
    category: String,
    orders: i64,
    customers: i64,
    units: i64,
    revenue_cents: i64,
}

/// The sales of each category.
#[utoipa::path(
    get,
    path = "/api/v1/shop/reports/sales",
    tag = GATED_TAG,
    responses((status = 200, description = "The report", body = SalesReport))
)]
pub(in crate::demo) async fn sales(State(demo): State<Demo>) -> Result<Json<SalesReport>, Failure> {
    let mut connection = demo.connection().await?;
    let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT p.category, COUNT(DISTINCT l.order_id), COUNT(DISTINCT o.customer_id),
                CAST(SUM(l.quantity) AS BIGINT), CAST(SUM(l.quantity * l.unit_price_cents) AS BIGINT) AS revenue
         FROM order_lines l
         JOIN orders o ON o.id = l.order_id
         JOIN products p ON p.id = l.product_id
         GROUP BY p.category ORDER BY revenue DESC, p.category",
    )
    .fetch_all(&mut connection)
    .await?;
    let categories: Vec<_> = rows
        .into_iter()
        .map(|(category, orders, customers, units, revenue_cents)| CategorySales {
            category,
            orders,
            customers,
            units,
            revenue_cents,
        })
        .collect();
    let total_revenue_cents = categories.iter().map(|category| category.revenue_cents).sum();
    Ok(Json(SalesReport { total_revenue_cents, categories }))
}
