//! Where the server is, and which requests go to it.

use poolgate_types::routes::HEALTH_PREFIX;

use crate::InvalidOption;

/// Address of the server: an origin, and a path without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    origin: String,
    path: String,
}

impl Base {
    /// Reads the app's option; an empty one means the page's origin.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn read(text: &str) -> Result<Self, InvalidOption> {
        let page = if text.is_empty() { crate::host::page_origin() } else { None };
        let url = web_sys::Url::new(page.as_deref().unwrap_or(text)).map_err(|_| WRONG)?;
        Self::of(url.origin(), &url.pathname())
    }

    /// Off the browser no request is compared with it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn read(text: &str) -> Result<Self, InvalidOption> {
        if text.is_empty() {
            return Ok(Self { origin: String::new(), path: String::new() });
        }
        let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() { Err(WRONG) } else { Self::of(format!("{scheme}://{host}"), &format!("/{path}")) }
    }

    fn of(origin: String, path: &str) -> Result<Self, InvalidOption> {
        // Other schemes have no origin, or none that requests go to.
        if !origin.starts_with("http") {
            return Err(WRONG);
        }
        Ok(Self { origin, path: path.trim_end_matches('/').to_owned() })
    }

    /// Whether an absolute address, as a `Request` has it, is on this server and outside of its health API.
    pub(crate) fn covers(&self, address: &str) -> bool {
        let Some(path) = address.strip_prefix(self.origin.as_str()) else { return false };
        let health = path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.starts_with(HEALTH_PREFIX));
        path.starts_with(['/', '?', '#']) && !health
    }

    /// Address of one of the server's routes; of the server itself without one.
    pub(crate) fn route(&self, route: &str) -> String {
        let Self { origin, path } = self;
        format!("{origin}{path}{route}")
    }
}

const WRONG: InvalidOption =
    InvalidOption { option: "base", expected: "an absolute http or https address, such as https://api.example.com" };

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn requests_to_the_server_count_except_those_to_its_health_api() {
        let base = Base::read("https://api.example/shop/").expect("an address");
        for (address, counts) in [
            ("https://api.example/shop/orders?page=2", true),
            ("https://api.example/", true),
            ("https://api.example/api/v1/health/ping", true),
            ("https://api.example/shop/api/v1/health/ping", false),
            ("https://api.example.evil/shop/orders", false),
            ("https://api.example:8443/shop/orders", false),
            ("http://api.example/shop/orders", false),
            ("blob:https://api.example/0a1b", false),
        ] {
            assert_eq!(base.covers(address), counts, "{address}");
        }
        assert_eq!(base.route("/livez"), "https://api.example/shop/livez");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["api.example", "/shop", "file:///tmp", "https://"] {
            assert_eq!(Base::read(text), Err(WRONG), "{text}");
        }
    }
}
