//! Serves the operations page from a folder or from the binary.
//!
//! Every part of a path must be a plain name, so nothing outside the folder can be reached. Files with a content hash
//! in their name may be cached for ever; all others are revalidated with 304.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poolgate_server::problem;

/// The page may run its own scripts, styles and wasm, and connect to its own server.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const PAGE_MISSING: &str = "<!doctype html><html lang=\"en\"><title>Poolgate</title><h1>Poolgate is running</h1>\
     <p>This binary was built without the operations page. <code>cargo xtask page</code> builds it; \
     <code>--www DIR</code> serves it.</p>\
     <p>The same figures: <a href=\"/api/v1/health/database/status\">status</a>, \
     <a href=\"/api/v1/health/database/activity\">activity</a>, \
     <a href=\"/api/v1/health/database/history\">history</a>, <a href=\"/metrics\">metrics</a>.</p></html>";
const INDEX: &str = "index.html";
const REVALIDATE: &str = "no-cache";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Larger files are not served; none of the page's comes near.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Answers every path without a route of its own: with a file of the page, or with a problem document.
///
/// `folder` is read on every request. Without one, the page built into the binary is served.
pub fn router(folder: Option<PathBuf>) -> Router {
    let source = folder.map_or(Source::Embedded, Source::Folder);
    Router::new().fallback(respond).with_state(source)
}

#[derive(Clone, Debug)]
enum Source {
    Folder(PathBuf),
    Embedded,
}

/// Trunk's build of the page, if it existed when the binary was compiled.
#[derive(rust_embed::RustEmbed)]
#[folder = "../../www/dist"]
#[allow_missing = true]
struct Embedded;

struct Asset {
    bytes: Cow<'static, [u8]>,
    etag: String,
    is_gzip: bool,
}

async fn respond(State(source): State<Source>, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        return problem::method_not_allowed("GET, HEAD");
    }
    let Some(path) = asset_path(request.uri().path()) else {
        return problem::not_found(request.uri().path());
    };
    let asset = match source.load_compressed(path, request.headers()).await {
        Some(compressed) => Some(compressed),
        None => source.load(path).await,
    };
    match asset {
        Some(asset) => asset.into_response(path, request.headers(), head),
        None if path == INDEX => page_missing(request.headers()),
        None => problem::not_found(request.uri().path()),
    }
}

/// The file for a path. `None` unless each part begins with a letter, a digit, `_` or `@` and continues with these,
/// dots and hyphens: no `..`, no hidden files, no drive letters, no percent-encoding.
fn asset_path(path: &str) -> Option<&str> {
    let path = match path.strip_prefix('/')? {
        "" => INDEX,
        path => path,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@');
    let fine = |part: &str| {
        part.bytes().next().is_some_and(plain) && part.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
    };
    path.split('/').all(fine).then_some(path)
}

impl Source {
    /// The `.gz` that a release build has put beside the file, for a browser that reads it.
    async fn load_compressed(&self, path: &str, request: &HeaderMap) -> Option<Asset> {
        let asset = if reads_gzip(request) { self.load(&format!("{path}.gz")).await? } else { return None };
        Some(Asset { is_gzip: true, ..asset })
    }

    async fn load(&self, path: &str) -> Option<Asset> {
        match self {
            Self::Folder(folder) => {
                let bytes = read(folder.clone(), path.to_owned()).await?;
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                Some(Asset { bytes: bytes.into(), etag: format!("\"{:016x}\"", hasher.finish()), is_gzip: false })
            }
            Self::Embedded => {
                let file = Embedded::get(path)?;
                let hash = file.metadata.sha256_hash();
                let etag =
                    format!("\"{}\"", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>());
                Some(Asset { bytes: file.data, etag, is_gzip: false })
            }
        }
    }
}

/// Reads a file in the folder itself; links to files outside are refused.
async fn read(folder: PathBuf, path: String) -> Option<Vec<u8>> {
    let read = move || {
        let folder = folder.canonicalize().ok()?;
        let file = folder.join(path).canonicalize().ok()?;
        let metadata = file.metadata().ok()?;
        let allowed = file.starts_with(&folder) && metadata.is_file() && metadata.len() <= MAX_FILE_BYTES;
        allowed.then(|| std::fs::read(file).ok())?
    };
    tokio::task::spawn_blocking(read).await.ok()?
}

impl Asset {
    fn into_response(self, path: &str, request: &HeaderMap, head: bool) -> Response {
        let mut headers = HeaderMap::new();
        let cache = if has_hash(path) { FOR_EVER } else { REVALIDATE };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(header::ETAG, etag);
        }
        if is_current(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if self.is_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        let body = if head { Body::empty() } else { Body::from(self.bytes.into_owned()) };
        (headers, body).into_response()
    }
}

/// Whether the browser names gzip, and not with `q=0`.
fn reads_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_some_and(|quality| quality > 0.0)
    })
}

/// Whether the browser's copy is current (`If-None-Match`, weak comparison as in RFC 9110).
fn is_current(request: &HeaderMap, etag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag)
}

/// Whether the name contains a content hash from Trunk: 64 bits in hex, `main-5d2f0c9a7be41386.js`.
fn has_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split(['-', '_', '.']).any(|part| {
        (14..=16).contains(&part.len()) && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn content_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        // Browsers compile while they download only with this type.
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt" | "md" | "ts") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A person gets words, a program a problem document.
fn page_missing(request: &HeaderMap) -> Response {
    let wants_page = |value: &HeaderValue| value.to_str().is_ok_and(|accept| accept.contains("text/html"));
    if request.get_all(header::ACCEPT).iter().any(wants_page) {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
        ];
        return (StatusCode::NOT_FOUND, headers, PAGE_MISSING).into_response();
    }
    problem::response(
        StatusCode::NOT_FOUND,
        "page_missing",
        "Page missing",
        "This binary was built without the operations page. `cargo xtask page` builds it; `--www DIR` serves it.",
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    struct Site {
        _folder: tempfile::TempDir,
        router: Router,
    }

    impl Site {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let www = folder.path().join("www");
            std::fs::create_dir_all(www.join("pkg")).expect("folders");
            let write = |path: &str, text: &str| std::fs::write(www.join(path), text).expect("written");
            write("index.html", "<!doctype html>");
            write("main-5d2f0c9a7be41386.js", "export {}");
            write("pkg/client_bg.wasm", "\0asm");
            write("app.css", "body {}");
            write("app.css.gz", "compressed");
            write("icon.svg", "<svg/>");
            write(".hidden", "classified");
            write("../outside.txt", "classified");
            #[cfg(unix)]
            std::os::unix::fs::symlink("../outside.txt", www.join("link.txt")).expect("linked");
            Self { router: router(Some(www)), _folder: folder }
        }

        async fn send(&self, method: Method, path: &str, etag: Option<&str>) -> (StatusCode, HeaderMap, String) {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(etag) = etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            }
            let request = request.body(Body::empty()).expect("a request");
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let (head, body) = response.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            (head.status, head.headers, String::from_utf8_lossy(&bytes).into_owned())
        }
    }

    #[tokio::test]
    async fn the_index_is_revalidated_and_has_a_strict_policy() {
        let site = Site::new();
        let (status, headers, body) = site.send(Method::GET, "/", None).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, "<!doctype html>"));
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("  "), "{policy}");

        let etag = headers["etag"].to_str().expect("text");
        let (status, headers, body) = site.send(Method::GET, "/index.html", Some(etag)).await;
        assert_eq!((status, &body[..]), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(headers["etag"], etag);
        let (status, ..) = site.send(Method::GET, "/", Some("\"other\", W/\"another\"")).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[tokio::test]
    async fn types_and_caching_follow_the_name() {
        let site = Site::new();
        for (path, kind, cache) in [
            ("/main-5d2f0c9a7be41386.js", "text/javascript; charset=utf-8", FOR_EVER),
            ("/pkg/client_bg.wasm", "application/wasm", REVALIDATE),
            ("/app.css", "text/css; charset=utf-8", REVALIDATE),
            ("/icon.svg", "image/svg+xml", REVALIDATE),
        ] {
            let (status, headers, _) = site.send(Method::GET, path, None).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(
                (&headers["content-type"], &headers["cache-control"]),
                (&kind.parse().unwrap(), &cache.parse().unwrap())
            );
        }
    }

    #[tokio::test]
    async fn a_compressed_file_goes_to_those_who_read_it() {
        let site = Site::new();
        let accepts = |encoding: &'static str| {
            let request = Request::get("/app.css").header(header::ACCEPT_ENCODING, encoding);
            let request = request.body(Body::empty()).expect("a request");
            site.router.clone().oneshot(request)
        };
        for (encoding, expected) in
            [("gzip, br", Some("gzip")), ("GZIP;q=0.5", Some("gzip")), ("gzip;q=0", None), ("br", None), ("", None)]
        {
            let response = accepts(encoding).await.expect("an answer");
            let found = response.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
            assert_eq!(found, expected, "{encoding}");
            assert_eq!(response.headers()["content-type"], "text/css; charset=utf-8");
            assert_eq!(response.headers()["vary"], "accept-encoding");
            let bytes = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(&bytes[..], if expected.is_some() { &b"compressed"[..] } else { &b"body {}"[..] });
        }
    }

    #[tokio::test]
    async fn head_has_only_the_headers() {
        let (status, headers, body) = Site::new().send(Method::HEAD, "/app.css", None).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, ""));
        assert_eq!(headers["content-length"], "7");
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_reached() {
        let site = Site::new();
        for path in [
            "/../outside.txt",
            "/pkg/../../outside.txt",
            "/%2e%2e/outside.txt",
            "/..%2foutside.txt",
            "/..\\outside.txt",
            "//outside.txt",
            "/.hidden",
            "/link.txt",
            "/pkg",
            "/pkg/",
            "/C:/outside.txt",
            "/missing.js",
        ] {
            let request = site.send(Method::GET, path, None);
            let (status, headers, body) = request.await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers["content-type"], "application/problem+json", "{path}");
            assert!(!body.contains("classified"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn other_methods_are_refused() {
        let (status, headers, body) = Site::new().send(Method::POST, "/", None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers["allow"], "GET, HEAD");
        assert!(body.contains("\"status\":405"), "{body}");
    }

    #[tokio::test]
    async fn an_empty_folder_says_how_to_build_the_page() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let request = Request::builder().uri("/").body(Body::empty()).expect("a request");
        let response = router(Some(folder.path().to_owned())).oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&bytes).contains("cargo xtask page"));

        let request = Request::get("/").header(header::ACCEPT, "text/html,*/*;q=0.8").body(Body::empty());
        let response =
            router(Some(folder.path().to_owned())).oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&bytes).starts_with("<!doctype html>"), "a person gets words");
    }
}
