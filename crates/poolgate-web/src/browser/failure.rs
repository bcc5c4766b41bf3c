//! Why a request has no answer, with the value that JavaScript gave.

use wasm_bindgen::JsValue;

use crate::{Error, host};

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client rejected it. Nothing was sent.
    Rejected(Error),
    /// The app aborted it; with its reason.
    Aborted(JsValue),
    /// The host's `fetch` failed; with what it threw, which may be any value.
    Thrown(JsValue),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(error) => error,
            Failure::Aborted(reason) => Self::Aborted { reason: host::text_of(&reason) },
            Failure::Thrown(value) => Self::Network { message: host::text_of(&value) },
        }
    }
}
