//! Without a framework.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use web_sys::Element;

type Orders = Vec<f64>;

fn show(_orders: &Orders) {}

fn show_closed(_until: Option<std::time::Duration>) {}

/// Starts a client and sends a request.
///
/// # Errors
///
/// Those of the client and of the body.
pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
    // recipe
    use gloo_net::http::Request;
    use poolgate_web::{Client, Error, Priority};

    let client = Client::builder("").build()?; // the page's own origin

    match client.fetch_with(Priority::High, Request::get("/api/orders")).await {
        Ok(response) => show(&response.json::<Orders>().await?),
        Err(Error::CircuitOpen { retry_after }) => show_closed(retry_after),
        Err(error) => return Err(error.into()),
    }
    // end
    Ok(())
}

/// Gives the status element its source.
///
/// # Errors
///
/// There are none in a browser.
pub fn status(client: &poolgate_web::Client, status_element: &Element) -> Result<(), JsValue> {
    // recipe
    Reflect::set(status_element, &"source".into(), &client.to_js())?;
    // end
    Ok(())
}
