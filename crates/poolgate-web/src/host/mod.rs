//! The little that the client needs of its host, in a browser and elsewhere.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod elsewhere;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::elsewhere::*;
