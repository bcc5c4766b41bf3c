//! The sender of a request is the one that the trusted proxy names, for any headers that a client sends.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use poolgate_server::{fuzzing::sender, settings::Network};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

fuzz_target!(|input: (bool, Vec<&[u8]>)| {
    let (is_standard, lines) = input;
    let (name, added) =
        if is_standard { ("forwarded", format!("for={CLIENT}")) } else { ("x-forwarded-for", CLIENT.to_string()) };
    let mut written = HeaderMap::new();
    for line in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        written.append(name, line);
    }
    let trusted: [Network; 1] = ["10.0.0.0/8".parse().expect("a network")];
    assert_eq!(sender(CLIENT, &written, &trusted), CLIENT, "a client is not believed");
    let _ = sender(PROXY, &written, &trusted);

    let mut on_a_line_of_its_own = written.clone();
    on_a_line_of_its_own.append(name, added.parse().expect("a header value"));
    assert_eq!(sender(PROXY, &on_a_line_of_its_own, &trusted), CLIENT);

    let joined = written.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    let joined = [&joined[..], b", ", added.as_bytes()].concat();
    let on_one_line = HeaderMap::from_iter([(
        name.parse().expect("a header name"),
        HeaderValue::from_bytes(&joined).expect("lines that were header values"),
    )]);
    assert_eq!(sender(PROXY, &on_one_line, &trusted), CLIENT);
});
