//! Finds products and shows a product's page.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
};
use poolgate_server::GATED_TAG;
use poolgate_types::Problem;
use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::demo::{Demo, failure::Failure};

const PAGE_SIZE: i64 = 20;
const LAST_PAGE: i64 = 10_000;
const LONGEST_SEARCH: usize = 64;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::demo) struct Search {
    /// Part of the name, case-insensitive; all products if empty. Up to 64 characters.
    #[serde(default)]
    #[param(max_length = 64, pattern = "^[^\u{0}]*$")]
    search: String,
    #[serde(default = "first_page")]
    #[param(minimum = 1, maximum = 10000)]
    page: i64,
}

const fn first_page() -> i64 {
    1
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::demo) struct Found {
    products: Vec<Product>,
    page: i64,
    page_size: i64,
    total: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Product {
    id: i64,
    name: String,
    category: String,
    price_cents: i64,
    stock: i64,
}

type ProductRow = (i64, String, String, i64, i64);

/// Finds products by a part of their name.
#[utoipa::path(
    get,
    path = "/api/v1/shop/products",
    tag = GATED_TAG,
    params(Search),
    responses(
        (status = 200, description = "A page of the results", body = Found),
        (status = 400, description = "An invalid search or page", body = Problem),
    )
)]
pub(in crate::demo) async fn search(
    State(demo): State<Demo>,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Json<Found>, Failure> {
    let Query(Search { search, page }) =
        query.map_err(|rejection| Failure::Malformed(rejection.status(), rejection.body_text()))?;
    check(&search, page)?;
    let pattern = like_pattern(&search);

    let mut connection = demo.connection().await?;
    let total: i64 = sqlx::query_scalar(r"SELECT COUNT(*) FROM products WHERE LOWER(name) LIKE $1 ESCAPE '\'")
        .bind(&pattern)
        .fetch_one(&mut connection)
        .await?;
    let rows: Vec<ProductRow> = sqlx::query_as(
        r"SELECT id, name, category, price_cents, stock FROM products WHERE LOWER(name) LIKE $1 ESCAPE '\'
          ORDER BY name, id LIMIT $2 OFFSET $3",
    )
    .bind(&pattern)
    .bind(PAGE_SIZE)
    .bind((page - 1) * PAGE_SIZE)
    .fetch_all(&mut connection)
    .await?;
    Ok(Json(Found { products: rows.into_iter().map(Product::from).collect(), page, page_size: PAGE_SIZE, total }))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::demo) struct Page {
    #[serde(flatten)]
    product: Product,
    sales: Sales,
    bought_together: Vec<Companion>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Sales {
    orders: i64,
    units: i64,
    revenue_cents: i64,
    last_ordered_at: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Companion {
    id: i64,
    name: String,
    orders: i64,
}

/// A product's page: its sales, and products bought together with it.
#[utoipa::path(
    get,
    path = "/api/v1/shop/products/{id}",
    tag = GATED_TAG,
    params(("id" = i64, Path, description = "The product", example = 1)),
    responses(
        (status = 200, description = "The product", body = Page),
        (status = 400, description = "No number", body = Problem),
        (status = 404, description = "There is no such product", body = Problem),
    )
)]
pub(in crate::demo) async fn page(
    State(demo): State<Demo>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Page>, Failure> {
    let Path(id) = id.map_err(|rejection| Failure::Malformed(rejection.status(), rejection.body_text()))?;
    let mut connection = demo.connection().await?;
    let product: Option<ProductRow> =
        sqlx::query_as("SELECT id, name, category, price_cents, stock FROM products WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut connection)
            .await?;
    let product = product.ok_or_else(|| Failure::NotFound(format!("There is no product {id}.")))?.into();
    // In PostgreSQL sums of BIGINT are NUMERIC, hence the casts.
    let (orders, units, revenue_cents, last): (i64, i64, i64, Option<i64>) = sqlx::query_as(
        "SELECT COUNT(*), CAST(COALESCE(SUM(l.quantity), 0) AS BIGINT),
                CAST(COALESCE(SUM(l.quantity * l.unit_price_cents), 0) AS BIGINT), MAX(o.ordered_at)
         FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.product_id = $1",
    )
    .bind(id)
    .fetch_one(&mut connection)
    .await?;
    let companions: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT p.id, p.name, COUNT(*) AS orders
         FROM order_lines mine
         JOIN order_lines other ON other.order_id = mine.order_id AND other.product_id <> mine.product_id
         JOIN products p ON p.id = other.product_id
         WHERE mine.product_id = $1 GROUP BY p.id, p.name ORDER BY orders DESC, p.id LIMIT 3",
    )
    .bind(id)
    .fetch_all(&mut connection)
    .await?;
    Ok(Json(Page {
        product,
        sales: Sales { orders, units, revenue_cents, last_ordered_at: last.map(rfc3339).transpose()? },
        bought_together: companions.into_iter().map(|(id, name, orders)| Companion { id, name, orders }).collect(),
    }))
}

fn check(search: &str, page: i64) -> Result<(), Failure> {
    let refuse = |detail: String| Err(Failure::Malformed(http::StatusCode::BAD_REQUEST, detail));
    if search.chars().count() > LONGEST_SEARCH {
        return refuse(format!("`search` may have at most {LONGEST_SEARCH} characters."));
    }
    // PostgreSQL cannot store it, so no product contains it.
    if search.contains('\0') {
        return refuse("`search` contains a null character.".to_owned());
    }
    if !(1..=LAST_PAGE).contains(&page) {
        return refuse(format!("`page` must be from 1 to {LAST_PAGE}."));
    }
    Ok(())
}

/// The LIKE pattern for names that contain `text` literally.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

impl From<ProductRow> for Product {
    fn from((id, name, category, price_cents, stock): ProductRow) -> Self {
        Self { id, name, category, price_cents, stock }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_searched_for_literally() {
        assert_eq!(like_pattern(r"50%_Off\"), r"%50\%\_off\\%");
        assert_eq!(like_pattern(""), "%%");
    }
}
