//! A reader of server-sent events, as far as Poolgate's streams need it.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name; `message` if the stream gave none.
    pub name: String,
    /// Its data; several data lines are joined by line feeds.
    pub data: String,
}

/// Cuts a byte stream into events (WHATWG HTML, section 9.2.6, without ids).
#[derive(Debug, Default)]
pub struct EventReader {
    buffer: Vec<u8>,
    name: String,
    data: String,
}

/// An event exceeded [`EventReader::MAX_EVENT_BYTES`]; the stream cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {} bytes", EventReader::MAX_EVENT_BYTES)]
pub struct EventTooLong;

impl EventReader {
    /// Maximum length of an event, in bytes.
    pub const MAX_EVENT_BYTES: usize = 256 * 1024;

    /// Takes the stream's next bytes and returns the events that they complete.
    ///
    /// # Errors
    ///
    /// [`EventTooLong`] if an event exceeds the maximum length.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, EventTooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.buffer[begin..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[begin..begin + length]).into_owned();
            begin += length + 1;
            events.extend(self.line(line.trim_end_matches('\r')));
        }
        self.buffer.drain(..begin);
        if self.buffer.len() + self.data.len() > Self::MAX_EVENT_BYTES { Err(EventTooLong) } else { Ok(events) }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(Event { name: if name.is_empty() { "message".to_owned() } else { name }, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 3000\n\nevent: config\ndata: {\"a\":1}\n\n: comment\r\nevent: heartbeat\r\ndata: 1\r\n\
                          data:2\r\n\r\ndata: plain\n\nevent: unfinished\ndata: x\n";

    #[test]
    fn events_do_not_depend_on_how_the_bytes_are_split() {
        let mut whole = EventReader::default();
        let events = whole.read(STREAM.as_bytes()).expect("short");
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        assert_eq!(events, [event("config", "{\"a\":1}"), event("heartbeat", "1\n2"), event("message", "plain")]);
        let mut bytewise = EventReader::default();
        let cut: Vec<_> = STREAM.bytes().flat_map(|byte| bytewise.read(&[byte]).expect("short")).collect();
        assert_eq!(cut, events);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::default();
        let long = vec![b'x'; EventReader::MAX_EVENT_BYTES + 1];
        assert_eq!(reader.read(&long), Err(EventTooLong));
        let mut reader = EventReader::default();
        let line = format!("data: {}\n", "x".repeat(1000));
        assert!((0..300).any(|_| reader.read(line.as_bytes()).is_err()));
    }
}
