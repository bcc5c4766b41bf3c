//! Whole numbers in JSON. A number without a fraction is whole, however it is written (`3`, `3.0`): so JSON Schema reads
//! `integer`, and so clients whose numbers are all floating point write it.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::Number;

/// The largest number up to which floating point knows each whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads one, for `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// It has a fraction, or the type has no such number.
pub(in crate::demo) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = Number::deserialize(deserializer)?;
    let float = number.as_f64().unwrap_or(f64::NAN);
    let whole = number.as_i64().or_else(|| (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64));
    let whole = whole.and_then(|whole| T::try_from(whole).ok());
    whole.ok_or_else(|| D::Error::invalid_value(Unexpected::Float(float), &"a whole number in its range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Document {
        #[serde(deserialize_with = "number")]
        n: u32,
    }

    #[test]
    fn a_number_without_a_fraction_is_whole() {
        let read =
            |n: &str| serde_json::from_str::<Document>(&format!("{{\"n\":{n}}}")).map(|document| document.n).ok();
        assert_eq!(["3", "3.0", "3e2", "0.0"].map(read), [Some(3), Some(3), Some(300), Some(0)]);
        assert_eq!(["3.5", "-1", "-1.0", "4294967296", "1e300", "\"3\"", "null"].map(read), [None; 7]);
    }
}
