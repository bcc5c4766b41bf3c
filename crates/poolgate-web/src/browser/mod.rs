//! What the client does in a browser. Elsewhere requests pass.

#[cfg(target_arch = "wasm32")]
mod abort;
#[cfg(target_arch = "wasm32")]
mod adopted;
#[cfg(target_arch = "wasm32")]
mod document;
#[cfg(target_arch = "wasm32")]
mod driver;
#[cfg(not(target_arch = "wasm32"))]
mod elsewhere;
#[cfg(target_arch = "wasm32")]
mod failure;
#[cfg(target_arch = "wasm32")]
mod install;
#[cfg(target_arch = "wasm32")]
mod listener;
#[cfg(target_arch = "wasm32")]
mod own_request;
#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod send;
#[cfg(target_arch = "wasm32")]
mod source;
#[cfg(target_arch = "wasm32")]
mod stream;
#[cfg(target_arch = "wasm32")]
mod worker;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::elsewhere::*;
#[cfg(target_arch = "wasm32")]
pub(crate) use self::{
    adopted::adopt,
    driver::start,
    install::install,
    own_request::{ask, cleanup},
    send::fetch,
    source::to_js,
    stream::{OPEN_STREAM, OpenStream},
};
