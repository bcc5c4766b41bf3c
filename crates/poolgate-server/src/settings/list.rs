//! Lists that an environment variable can also hold: `a, b, c`.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, de};

use super::mask;

/// Reads a list of strings, or one string with commas.
pub(super) fn deserialize<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Visitor<T>(PhantomData<T>);

    impl<'de, T> de::Visitor<'de> for Visitor<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of strings, or one string with commas")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            entries.enumerate().map(|(index, entry)| parse(index, entry)).collect()
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element::<String>()? {
                list.push(parse(list.len(), entry.trim())?);
            }
            Ok(list)
        }
    }

    fn parse<T: FromStr, E: de::Error>(index: usize, entry: &str) -> Result<T, E>
    where
        T::Err: fmt::Display,
    {
        let name = || mask::word(entry).unwrap_or_else(|| format!("entry {}", index + 1));
        entry.parse().map_err(|error| E::custom(format_args!("{}: {error}", name())))
    }

    deserializer.deserialize_any(Visitor(PhantomData))
}
