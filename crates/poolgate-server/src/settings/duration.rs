//! Durations with a unit: `"500ms"`, `"30s"`, `"10m"`.

use std::{fmt, time::Duration};

use jiff::SignedDuration;
use serde::{Deserializer, Serializer, de};

/// Writes a duration in the format that [`deserialize`] reads.
pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Friendly(*duration))
}

/// Reads a duration with its unit. A bare number is an error, because its unit would be a guess.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration with its unit, such as \"500ms\", \"30s\" or \"10m\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            text.parse::<SignedDuration>()
                .ok()
                .and_then(|duration| Duration::try_from(duration).ok())
                .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Visitor)
}

struct Friendly(Duration);

impl fmt::Display for Friendly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(duration) = *self;
        match duration.subsec_millis() {
            0 => write!(f, "{}s", duration.as_secs()),
            _ => write!(f, "{}ms", duration.as_millis()),
        }
    }
}
