//! Origins of pages, as browsers send them: `https://app.example`, `capacitor://localhost`.

use http::Uri;

use super::scheme;

/// Why an entry can never match an origin from a browser; `None` if it can.
pub(super) fn problem(origin: &str) -> Option<&'static str> {
    // The origin that Android's web view sends for an app's own pages.
    if origin == "file://" {
        return None;
    }
    if origin.eq_ignore_ascii_case("null") {
        return Some("`null` is the origin of all sandboxed pages, also of other sites, and cannot be allowed");
    }
    let Some((scheme, place)) = origin.split_once("://") else { return Some(NO_ORIGIN) };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    // The parser fully supports only the schemes of the web; the form of the host is the same.
    let Ok(uri) = format!("http://{place}").parse::<Uri>() else { return Some(NO_ORIGIN) };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // A text that is repeated in messages must be no database's URL.
    let port = uri.port_u16().map_or(String::new(), |port| format!(":{port}"));
    let is_host_and_port = uri.host().is_some_and(|host| format!("{host}{port}") == place);
    if !is_scheme || scheme::is_known(scheme) || authority != place || !is_host_and_port || place.contains(['@', '*']) {
        return Some(NO_ORIGIN);
    }
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        // Browsers do not normalise hosts of other schemes.
        _ => return None,
    };
    let is_as_sent = !place.ends_with(own_port) && !place.bytes().any(|byte| byte.is_ascii_uppercase());
    (!is_as_sent).then_some("browsers send origins in lower case and without the scheme's default port")
}

const NO_ORIGIN: &str = "an origin is a scheme, a host and perhaps a port, such as https://app.example or \
                         capacitor://localhost (no path, no `*`)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_sites_and_of_apps_are_valid() {
        for origin in [
            "https://app.example",
            "http://localhost:3000",
            "http://[::1]:3000",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "https://tauri.localhost",
            "app://-",
            "app://obsidian.md",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://0f2d4f3a-9c1e-4a53-8c3b-7d1a3c5e7f90",
            "safari-web-extension://5C0F7A4E-2B1D-4C3E-9F8A-6B7C8D9E0F1A",
            "vscode-webview://0j6l6l4bq7pv7f",
            "file://",
        ] {
            assert_eq!(problem(origin), None, "{origin}");
        }
    }

    #[test]
    fn origins_that_no_browser_sends_are_refused() {
        for origin in [
            "*",
            "null",
            "app.example",
            "localhost:3000",
            "https://app.example/path",
            "https://app.example/",
            "https://*.example",
            "https://user@app.example",
            "https://App.example",
            "https://app.example:443",
            "https://",
            "capacitor://localhost/",
            "://app.example",
            "https:/app.example",
            "https://app.example:port",
            "postgres://app:hunter2",
            "postgres://hunter2",
            "",
        ] {
            assert!(problem(origin).is_some(), "{origin}");
        }
    }
}
