//! Any `Poolgate-Config` header is read or refused, and what was read is written so that it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poolgate_types::ConfigHeader;

fuzz_target!(|text: &str| {
    if let Ok(header) = text.parse::<ConfigHeader>() {
        let written = header.to_string();
        assert_eq!(written.parse(), Ok(header), "{written}");
    }
});
