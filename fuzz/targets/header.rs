//! Any `Poolgate-Config` header is parsed or refused, and a parsed one survives writing and parsing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poolgate_types::ConfigHeader;

fuzz_target!(|text: &str| {
    if let Ok(header) = text.parse::<ConfigHeader>() {
        let written = header.to_string();
        assert_eq!(written.parse(), Ok(header), "{written}");
    }
});
