//! What may be fetched.

use gloo_net::http::{Request, RequestBuilder};

use crate::Error;

/// What [`Client::fetch`](crate::Client::fetch) takes: a request of gloo-net, finished or not, one of web-sys, or an address
/// to GET.
pub trait IntoRequest {
    /// The request that the browser gets.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if it is malformed.
    fn into_request(self) -> Result<web_sys::Request, Error>;
}

impl IntoRequest for web_sys::Request {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        Ok(self)
    }
}

impl IntoRequest for Request {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        Ok(self.into())
    }
}

impl IntoRequest for RequestBuilder {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        Ok(self.build()?.into())
    }
}

/// As `RequestBuilder::json` and [`RequestBuilder::body`] give it.
impl IntoRequest for Result<Request, gloo_net::Error> {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        Ok(self?.into())
    }
}

impl IntoRequest for &str {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        Request::get(self).into_request()
    }
}

impl IntoRequest for String {
    fn into_request(self) -> Result<web_sys::Request, Error> {
        self.as_str().into_request()
    }
}
