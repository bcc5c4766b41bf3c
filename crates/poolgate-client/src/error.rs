//! Rejections as JavaScript sees them.

use std::time::Duration;

use js_sys::{Object, Promise, Reflect};
use poolgate_throttle::{RejectReason, Rejection};
use wasm_bindgen::prelude::*;

use crate::{clock, host::Shell};

/// The error of a rejected call.
pub(crate) fn rejection(shell: &Shell, rejection: Rejection) -> JsValue {
    let (code, message) = match rejection.reason {
        RejectReason::QueueFull => ("queue_full", "too many requests wait already"),
        RejectReason::QueueTimeout => ("queue_timeout", "the request waited longer than it may"),
        RejectReason::CircuitOpen => ("circuit_open", "the database does not answer; requests are held back"),
        RejectReason::Closed => return closed(shell),
        _ => ("rejected", "the request was held back"),
    };
    error(shell, code, message, rejection.retry_after)
}

/// The error of a call that still waited when the client was closed.
pub(crate) fn closed(shell: &Shell) -> JsValue {
    error(shell, "client_closed", "the client was closed while the request waited", None)
}

/// An error of the shell's class for the code.
pub(crate) fn error(shell: &Shell, code: &str, message: &str, retry_after: Option<Duration>) -> JsValue {
    shell.error(code, message, retry_after.map(clock::to_ms))
}

/// The answer that a call gets instead of an error when the app asked for one: what the server's gate would say.
pub(crate) fn response(rejection: Rejection) -> Result<JsValue, JsValue> {
    const BODY: &str = concat!(
        r#"{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","#,
        r#""title":"The database does not answer","status":503,"#,
        r#""detail":"answered by the client: requests are held back until the database answers again","#,
        r#""code":"database_unavailable"}"#,
    );
    let wait = rejection.retry_after.unwrap_or(Duration::from_secs(1));
    // Whole seconds, at least one.
    let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
    let headers = Object::new();
    Reflect::set(&headers, &"content-type".into(), &"application/problem+json".into())?;
    Reflect::set(&headers, &"retry-after".into(), &seconds.to_string().into())?;
    let init = web_sys::ResponseInit::new();
    init.set_status(503);
    init.set_status_text("Service Unavailable");
    init.set_headers(&headers);
    Ok(web_sys::Response::new_with_opt_str_and_init(Some(BODY), &init)?.into())
}

/// A promise that is settled already.
pub(crate) fn settled(result: Result<JsValue, JsValue>) -> Promise {
    match result {
        Ok(value) => Promise::resolve(&value),
        Err(error) => Promise::reject(&error),
    }
}
