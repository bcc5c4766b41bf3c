//! The `traceparent` header of W3C's Trace Context: which trace a request belongs to.

use http::{HeaderMap, HeaderName};

const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The lowest bit of the flags: the caller records the trace.
const SAMPLED: u8 = 1;

/// The trace of a request, as its header names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// 32 lower-case hexadecimal digits, not all of them 0.
    pub trace_id: &'a str,
    /// The caller's part of the trace: 16 lower-case hexadecimal digits, not all of them 0.
    pub parent_id: &'a str,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

impl<'a> TraceParent<'a> {
    /// `None` if the header is missing, is there twice, or is not what the standard allows: then it counts as missing.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    /// `version-trace-parent-flags`. Later versions may add fields, but keep these.
    fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let mut next = |digits| fields.next().filter(|field| is_hexadecimal(field, digits));
        let (version, trace_id, parent_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let has_more = fields.next().is_some();
        let is_known = version != "ff" && (version != "00" || !has_more);
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0;
        (is_known && !is_zero(trace_id) && !is_zero(parent_id)).then_some(Self { trace_id, parent_id, is_sampled })
    }
}

/// The trace id of a request, by the rules of [`TraceParent`].
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    TraceParent::of(headers).map(|parent| parent.trace_id)
}

fn is_hexadecimal(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(field: &str) -> bool {
    field.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(values: &[&str]) -> Option<String> {
        let headers: HeaderMap = values.iter().map(|value| (HEADER, value.parse().expect("a value"))).collect();
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn this_version_and_later_ones_are_read() {
        for known in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-adds",
        ] {
            assert_eq!(of(&[known]).as_deref(), Some(TRACE), "{known}");
        }
    }

    #[test]
    fn the_lowest_flag_alone_says_that_the_trace_is_recorded() {
        for (flags, expected) in [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            let parent = TraceParent::parse(&text).expect("a header");
            assert_eq!((parent.parent_id, parent.is_sampled), ("00f067aa0ba902b7", expected), "{flags}");
        }
        assert_eq!(TraceParent::parse(&format!("00-{TRACE}-00f067aa0ba902b7-0g")), None);
    }

    #[test]
    fn a_header_that_the_standard_does_not_allow_counts_as_missing() {
        for strange in [
            "",
            "nonsense",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(&[strange]), None, "{strange}");
        }
        let proper = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(&[proper, proper]), None, "twice");
        assert_eq!(of(&[]), None);
    }
}
