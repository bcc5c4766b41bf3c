//! What a call that must wait keeps: the arguments as native `fetch` would have read them at the moment of the call.
//!
//! An app may change a URL, a header list or a buffer after it has called `fetch`, or navigate and so give a relative
//! address another meaning; none of it may reach a request that starts later.

use js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{FormData, Headers, Request, RequestInit, UrlSearchParams};

use crate::{
    host::{self, BodyReader, BodyStream},
    scope::Address,
};

/// Members that native `fetch` reads even where they are inherited, as those of a `Request` used as `init` are.
const MEMBERS: [&str; 14] = [
    "method",
    "headers",
    "body",
    "referrer",
    "referrerPolicy",
    "mode",
    "credentials",
    "cache",
    "redirect",
    "integrity",
    "keepalive",
    "signal",
    "duplex",
    "priority",
];

/// Arguments for the host's `fetch`, independent of everything that the app still holds.
#[derive(Debug)]
pub(crate) struct Snapshot {
    input: JsValue,
    init: JsValue,
    lock: Option<Lock>,
}

/// Nobody else may read a stream that is the body of a call, whether that waits or not.
#[derive(Debug)]
struct Lock(BodyReader);

impl Snapshot {
    /// Copies the arguments of a call to `address`. `Err` is what the platform says to wrong ones, or what a getter threw.
    pub(crate) fn take(input: &JsValue, address: &Address, init: &JsValue) -> Result<Self, JsValue> {
        let init = if init.is_object() { copy_init(init)?.into() } else { init.clone() };
        // The platform judges the arguments: the same constructor runs first in native fetch.
        let Some(request) = input.dyn_ref::<Request>() else {
            let input = address.href();
            judge(&input, &init)?;
            let lock = Lock::on_body_of(&init)?;
            return Ok(Self { input, init, lock });
        };
        let taken = Request::new_with_request_and_init(request, init.unchecked_ref::<RequestInit>())?;
        if init.is_object() {
            // Header list and body are in `taken` now, with the content type that belongs to the body.
            for name in ["headers", "body", "duplex"] {
                Reflect::delete_property(init.unchecked_ref::<Object>(), &name.into())?;
            }
        }
        Ok(Self { input: taken.into(), init, lock: None })
    }

    /// The arguments, for the host. What has a body that can be used up, or a stream, can be sent once.
    pub(crate) fn arguments(&mut self) -> (JsValue, JsValue) {
        self.lock = None;
        (self.input.clone(), self.init.clone())
    }

    /// The call was aborted: nobody will read its body, and a stream is told.
    pub(crate) fn cancel(self, reason: &JsValue) {
        match &self.lock {
            Some(Lock(reader)) => forget(reader.cancel(reason)),
            None => cancel_body(&self.input, reason),
        }
    }

    /// Sending it twice does no more than sending it once (RFC 9110, 9.2.2), and it has no body that would be used up.
    pub(crate) fn is_repeatable(&self) -> bool {
        let method = [&self.init, &self.input].into_iter().find_map(|part| member(part, "method").as_string());
        let body = if self.input.is_string() { member(&self.init, "body") } else { member(&self.input, "body") };
        let is_one_of = |methods: &[&str]| {
            method.as_deref().is_some_and(|method| methods.iter().any(|other| other.eq_ignore_ascii_case(method)))
        };
        // A platform that does not say whether a Request has a body: then it may.
        let has_none = body.is_null() || self.input.is_string() && body.is_undefined();
        method.is_none() || is_one_of(&["GET", "HEAD"]) || has_none && is_one_of(&["OPTIONS", "PUT", "DELETE"])
    }

    /// The request may outlive its page.
    pub(crate) fn is_keepalive(&self) -> bool {
        // Of a request with an init, the init's word counts.
        [&self.init, &self.input].iter().any(|part| part.is_object() && member(part, "keepalive").is_truthy())
    }
}

impl Lock {
    fn on_body_of(init: &JsValue) -> Result<Option<Self>, JsValue> {
        let body = member(init, "body");
        body.dyn_ref::<BodyStream>().map(|stream| stream.get_reader().map(Self)).transpose()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.release_lock();
    }
}

/// Tells the body of a request or a response that nobody wants it.
pub(crate) fn cancel_body(owner: &JsValue, reason: &JsValue) {
    if let Some(body) = member(owner, "body").dyn_ref::<BodyStream>() {
        forget(body.cancel(reason));
    }
}

/// What a stream says to its end is nobody's business, as in native fetch.
fn forget(cancelled: Promise) {
    let _ = Promise::all_settled(&js_sys::Array::of1(&cancelled));
}

fn member(object: &JsValue, name: &str) -> JsValue {
    // Fails for what is no object.
    Reflect::get(object, &name.into()).unwrap_or_default()
}

/// Fails as native fetch would with these arguments. The body is not read, a stream not even locked.
pub(crate) fn judge(input: &JsValue, init: &JsValue) -> Result<(), JsValue> {
    Request::new_with_str_and_init(&input.as_string().unwrap_or_default(), init.unchecked_ref::<RequestInit>())?;
    Ok(())
}

fn copy_init(init: &JsValue) -> Result<Object, JsValue> {
    let copy = host::assign(&Object::new(), init)?;
    for name in MEMBERS {
        let name = JsValue::from_str(name);
        if !Object::has_own(&copy, &name) {
            let value = Reflect::get(init, &name)?;
            if !value.is_undefined() {
                Reflect::set(&copy, &name, &value)?;
            }
        }
    }
    replace(&copy, "headers", copy_headers)?;
    replace(&copy, "body", copy_body)?;
    Ok(copy)
}

fn replace(init: &Object, name: &str, copy: fn(&JsValue) -> Result<Option<JsValue>, JsValue>) -> Result<(), JsValue> {
    let name = JsValue::from_str(name);
    if let Some(value) = copy(&Reflect::get(init, &name)?)? {
        Reflect::set(init, &name, &value)?;
    }
    Ok(())
}

fn copy_headers(headers: &JsValue) -> Result<Option<JsValue>, JsValue> {
    if headers.is_undefined() {
        return Ok(None);
    }
    // A list, a record or `Headers`: the constructor reads them all, and refuses what fetch refuses.
    Ok(Some(Headers::new_with_str_sequence_sequence(headers)?.into()))
}

/// Copies what can change; strings and blobs cannot, and a stream is taken over as it is.
fn copy_body(body: &JsValue) -> Result<Option<JsValue>, JsValue> {
    if let Some(buffer) = body.dyn_ref::<ArrayBuffer>() {
        return Ok(Some(buffer.slice(0).into()));
    }
    if ArrayBuffer::is_view(body) {
        let view: &js_sys::DataView = body.unchecked_ref();
        // The byte offset and length are whole numbers below 2^32 for every buffer that wasm32 can name.
        let bytes = Uint8Array::new_with_byte_offset_and_length(
            &view.buffer(),
            view.byte_offset() as u32,
            view.byte_length() as u32,
        );
        return Ok(Some(bytes.slice(0, bytes.length()).into()));
    }
    if let Some(params) = body.dyn_ref::<UrlSearchParams>() {
        return Ok(Some(UrlSearchParams::new_with_str_sequence_sequence(params)?.into()));
    }
    if let Some(form) = body.dyn_ref::<FormData>() {
        return Ok(Some(copy_form(form)?.into()));
    }
    Ok(None)
}

fn copy_form(form: &FormData) -> Result<FormData, JsValue> {
    let copy = FormData::new()?;
    let append: js_sys::Function = Reflect::get(&copy, &"append".into())?.dyn_into()?;
    for entry in js_sys::try_iter(form)?.into_iter().flatten() {
        let entry: js_sys::Array = entry?.unchecked_into();
        append.apply(&copy, &entry)?;
    }
    Ok(copy)
}
