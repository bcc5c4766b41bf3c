//! The name of a metric, with labels that its series must have.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `name` or `name{label="value",other="value"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSelector {
    name: String,
    labels: Vec<(String, String)>,
}

/// The text names no metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a metric is named as in Prometheus: pool_connections or pool_connections{{state=\"used\"}}")]
pub struct InvalidMetricSelector;

impl MetricSelector {
    /// The metric's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Labels and values that a series must have; it may have others.
    pub fn labels(&self) -> &[(String, String)] {
        &self.labels
    }
}

impl FromStr for MetricSelector {
    type Err = InvalidMetricSelector;

    fn from_str(text: &str) -> Result<Self, InvalidMetricSelector> {
        let text = text.trim();
        let (name, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        if !is_name(name) {
            return Err(InvalidMetricSelector);
        }
        let labels = match rest {
            "" => Vec::new(),
            _ => {
                let inner =
                    rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(InvalidMetricSelector)?;
                let pairs = inner.split(',').map(|pair| {
                    let (label, value) = pair.split_once('=')?;
                    let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
                    let is_plain = is_name(label.trim()) && !value.contains(['"', '\\', '\n']);
                    is_plain.then(|| (label.trim().to_owned(), value.to_owned()))
                });
                pairs.collect::<Option<_>>().ok_or(InvalidMetricSelector)?
            }
        };
        Ok(Self { name: name.to_owned(), labels })
    }
}

impl fmt::Display for MetricSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (number, (label, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{label}=\"{value}\"", if number == 0 { '{' } else { ',' })?;
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

impl Serialize for MetricSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MetricSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_or_without_labels() {
        for text in ["pool_connections", "pool:used{state=\"used\",pool=\"main db\"}"] {
            assert_eq!(text.parse::<MetricSelector>().expect(text).to_string(), text);
        }
        for wrong in ["", "1st", "a b", "a{", "a{x}", "a{x=1}", "a{x=\"1\"", "a{x=\"\"\"}", "a{}"] {
            assert_eq!(wrong.parse::<MetricSelector>(), Err(InvalidMetricSelector), "{wrong}");
        }
    }
}
