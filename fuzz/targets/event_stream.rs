//! A stream is cut into the same events however its bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poolgate_native::EventReader;

fuzz_target!(|pieces: Vec<&[u8]>| {
    let mut cut = EventReader::default();
    let events: Result<Vec<_>, _> = pieces.iter().map(|piece| cut.read(piece)).collect();
    // Where pieces end decides when an event has become too long.
    let Ok(events) = events.map(|events| events.concat()) else { return };
    if let Ok(whole) = EventReader::default().read(&pieces.concat()) {
        assert_eq!(whole, events);
    }
});
