//! The server's event stream.

use std::any::Any;

use poolgate_throttle::News;
use poolgate_types::{Bye, ConfigVersion, ThrottlingConfig, routes};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use web_sys::{Event, EventSource, EventSourceInit, MessageEvent, RequestCredentials};

use super::{
    document,
    driver::{Driver, WeakDriver},
    listener::Listener,
};
use crate::{core::Core, host};

/// Opens a stream, which dropping closes. The driver has it from the app's options, so that a page that only polls has no
/// code for it.
pub(crate) type OpenStream = fn(&Core, &WeakDriver) -> Result<Box<dyn Any>, JsValue>;

pub(crate) const OPEN_STREAM: OpenStream = |core, driver| Ok(Box::new(Stream::open(core, driver)?));

/// An open or opening stream. Dropping it closes it.
///
/// The host's own reconnecting has no jitter, and does not happen after an error status; so each error ends the stream.
#[derive(Debug)]
struct Stream {
    source: EventSource,
    _listeners: [Listener; 4],
}

impl Stream {
    fn open(core: &Core, driver: &WeakDriver) -> Result<Self, JsValue> {
        // The id distinguishes this client's stream from others. It is not secret and is sent nowhere else.
        let address = format!("{}?client={:013x}", core.base.route(routes::EVENTS), host::seed());
        let init = EventSourceInit::new();
        init.set_with_credentials(core.options.credentials == RequestCredentials::Include);
        let source = EventSource::new_with_event_source_init_dict(&address, &init)?;
        let on = |kind, act: fn(&WeakDriver, &Event)| {
            let driver = driver.clone();
            Listener::new(&source, kind, move |event| act(&driver, &event))
        };
        let listeners = [
            on("config", |driver, event| {
                driver.with(|driver| {
                    // A document that is malformed or out of range is ignored; the stream lives all the same.
                    if let Some(document) = data_of::<ThrottlingConfig>(event) {
                        let _ = driver.core.learn_document(document);
                    }
                    driver.heard();
                });
            }),
            on("heartbeat", |driver, event| {
                driver.with(|driver| {
                    driver.return_within(data_of(event));
                    if let Some(at) = data_of::<ConfigVersion>(event) {
                        driver.core.front.hear(&News::Current(at));
                    }
                    driver.heard();
                });
            }),
            on("bye", |driver, event| {
                driver.with(|driver| {
                    driver.return_within(data_of::<Bye>(event));
                    driver.stream_ended();
                });
            }),
            on("error", |driver, _| driver.with(Driver::stream_lost)),
        ];
        Ok(Self { source, _listeners: listeners })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.close();
    }
}

fn data_of<T: DeserializeOwned>(event: &Event) -> Option<T> {
    document::parsed(&event.dyn_ref::<MessageEvent>()?.data().as_string()?)
}
