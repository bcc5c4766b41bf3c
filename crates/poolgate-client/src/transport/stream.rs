//! The event stream: server-sent events through the host's `EventSource`.

use std::time::Duration;

use poolgate_types::ConfigVersion;
use wasm_bindgen::prelude::*;
use web_sys::{EventSource, MessageEvent};

use crate::{
    document::{self, Document},
    host,
    listener::Listener,
};

/// An open stream; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Stream {
    source: EventSource,
    _listeners: Vec<Listener>,
}

/// What a stream brings.
#[derive(Debug)]
pub(crate) enum Received {
    Config(Box<Document>),
    /// The version, within which time to come back if the stream breaks, and the message as it came.
    Heartbeat(ConfigVersion, Option<Duration>, JsValue),
    /// An event of ours that makes no sense.
    Malformed,
    /// The server ends the stream in order, and says within which time to come back.
    Bye(Option<Duration>),
    /// It broke, or was refused. The host would try again without jitter, and not at all after an error status.
    Broken,
}

/// Whether the host has event streams; Node has none.
pub(crate) fn is_supported() -> bool {
    host::global("EventSource").is_function()
}

impl Stream {
    pub(crate) fn open(url: &str, receive: impl Fn(Received) + Clone + 'static) -> Result<Self, JsValue> {
        let source = EventSource::new(url)?;
        let listeners = [
            ("config", config as fn(&web_sys::Event) -> Received),
            ("heartbeat", heartbeat),
            ("bye", bye),
            ("error", |_| Received::Broken),
        ];
        let listeners = listeners
            .into_iter()
            .map(|(kind, read)| {
                let receive = receive.clone();
                Listener::new(&source, kind, move |event| receive(read(&event)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { source, _listeners: listeners })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.close();
    }
}

fn config(event: &web_sys::Event) -> Received {
    let document = data(event).and_then(|data| Document::read(&data));
    document.map_or(Received::Malformed, |document| Received::Config(Box::new(document)))
}

fn heartbeat(event: &web_sys::Event) -> Received {
    data(event)
        .and_then(|data| Some(Received::Heartbeat(document::version(&data)?, document::return_within(&data), data)))
        .unwrap_or(Received::Malformed)
}

fn bye(event: &web_sys::Event) -> Received {
    Received::Bye(data(event).as_ref().and_then(document::return_within))
}

fn data(event: &web_sys::Event) -> Option<JsValue> {
    let text = event.unchecked_ref::<MessageEvent>().data().as_string()?;
    js_sys::JSON::parse(&text).ok()
}
