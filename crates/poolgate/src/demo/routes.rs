//! Paths of the demo.

/// Everything of the shop begins with this.
pub const SHOP_PREFIX: &str = "/api/v1/shop";
/// Holds one connection.
pub const LAB_HOLD: &str = "/api/v1/lab/hold";
/// Native users over loopback HTTP.
pub const LAB_LOAD: &str = "/api/v1/lab/load";
