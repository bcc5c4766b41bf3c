//! Prometheus' text format, as far as it is needed: the samples, one a line.
//!
//! `name{label="value",…} number [timestamp] [# exemplar]`. Lines that begin with `#` say nothing that is needed here. A line
//! that is anything else makes the whole text unreadable, because half of a pool's figures would be wrong ones.

use std::borrow::Cow;

use crate::settings::MetricSelector;

/// A longer line is no sample of a pool.
const LONGEST_LINE: usize = 64 << 10;
/// More labels has no series.
const MOST_LABELS: usize = 64;

/// One sample.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

/// The text is not Prometheus'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the metrics is not Prometheus' text format")]
pub(super) struct Unreadable {
    line: usize,
}

/// All samples of a text.
pub(super) fn samples(text: &str) -> Result<Vec<Sample<'_>>, Unreadable> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(text, line)| sample(text).ok_or(Unreadable { line })).collect()
}

impl Sample<'_> {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| &**value)
    }

    pub(super) fn is_of(&self, selector: &MetricSelector) -> bool {
        let mut wanted = selector.labels().iter();
        self.name == selector.name() && wanted.all(|(label, value)| self.label(label) == Some(value))
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let (name, rest) = name(line)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    // What follows ` # ` is an exemplar.
    let numbers = rest.split_once(" # ").map_or(rest, |(numbers, _)| numbers);
    let mut numbers = numbers.split_ascii_whitespace();
    let value = number(numbers.next()?)?;
    let is_timed = numbers.next().is_none_or(|time| number(time).is_some());
    (is_timed && numbers.next().is_none()).then_some(Sample { name, labels, value })
}

/// A name, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (name, rest) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    let begins = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    begins.then_some((name, rest))
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels, and what follows their brace. Older versions of Micrometer end the list with a comma.
fn labels(mut text: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, rest) = name(text)?;
        let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let (value, rest) = quoted(rest)?;
        labels.push((label, value));
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(next) => next,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
        if labels.len() > MOST_LABELS {
            return None;
        }
    }
}

/// A value up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut characters = text[end..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

/// Go's floats: decimal or scientific, `NaN`, `+Inf`, `-Inf`.
fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only(text: &str) -> Sample<'_> {
        let mut found = samples(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(found.len(), 1, "{text:?}");
        found.remove(0)
    }

    #[test]
    fn samples_are_read_in_all_their_forms() {
        assert_eq!(only("up 1"), Sample { name: "up", labels: vec![], value: 1.0 });
        assert_eq!(only("# HELP up\n\nup 1e3 1700000000000\n").value, 1000.0);
        assert_eq!(only("up{} -0.5").value, -0.5);
        assert_eq!(only("a:b{pool=\"p\",} +Inf").label("pool"), Some("p"));
        assert_eq!(only("a{x=\"1\", y = \"2\"}\t2").label("y"), Some("2"));
        assert_eq!(only("a{x=\"\\\"\\\\\\n}\"} 2").label("x"), Some("\"\\\n}"));
        assert_eq!(only("a_bucket{le=\"1\"} 2 # {trace_id=\"7\"} 0.5 1700000000.1").value, 2.0);
        assert!(only("a NaN").value.is_nan());
    }

    #[test]
    fn the_first_line_that_is_none_is_named() {
        for text in [
            "<html>",
            "up",
            "up one",
            "up 1 2 3",
            "1up 1",
            "up{x} 1",
            "up{x=1} 1",
            "up{x=\"1\" 1",
            "up{x=\"1\"y=\"2\"} 1",
            "up{x=\"\\t\"} 1",
            "up{x=\"1\"}1",
            "{\"status\":\"UP\"}",
            "up inf",
            "up 0x1",
        ] {
            assert_eq!(samples(&format!("up 1\n{text}\n")), Err(Unreadable { line: 2 }), "{text}");
        }
        let long = format!("up{{x=\"{}\"}} 1", "a".repeat(LONGEST_LINE));
        assert_eq!(samples(&long), Err(Unreadable { line: 1 }));
    }

    #[test]
    fn a_selector_needs_its_labels() {
        let sample = only("a{x=\"1\",y=\"2\"} 3");
        for (selector, is_of) in
            [("a", true), ("a{y=\"2\"}", true), ("a{y=\"1\"}", false), ("a{z=\"1\"}", false), ("b", false)]
        {
            assert_eq!(sample.is_of(&selector.parse().expect("a selector")), is_of, "{selector}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[a{}=\",\\\\ 1#\n\u{e9}]{0,60}") {
            let _ = samples(&text);
        }
    }
}
