//! Facts about the program's logs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Number of messages listed, the most frequent first.
const LISTED: usize = 8;

/// Facts about the logs of all runs of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogFacts {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines that report a panic.
    pub panics: Vec<String>,
    /// Number of lines with a password or a token.
    pub secrets: u64,
    /// The most frequent messages.
    pub messages: Vec<(u64, String)>,
}

impl LogFacts {
    /// Reads logs.
    #[must_use]
    pub fn of<'a>(logs: impl IntoIterator<Item = &'a str>, secrets: &[&str]) -> Self {
        let mut facts = Self::default();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in logs.into_iter().flat_map(str::lines) {
            facts.lines += 1;
            facts.bytes += line.len() as u64 + 1;
            if line.contains("panicked at") {
                facts.panics.push(line.to_owned());
            }
            facts.secrets += u64::from(secrets.iter().any(|secret| line.contains(secret)));
            *counts.entry(message(line)).or_default() += 1;
        }
        facts.messages = counts.into_iter().map(|(message, count)| (count, message)).collect();
        facts.messages.sort_unstable_by(|a, b| b.cmp(a));
        facts.messages.truncate(LISTED);
        facts
    }
}

/// Level and message of a line if it is JSON; otherwise its beginning.
fn message(line: &str) -> String {
    let document: Value = serde_json::from_str(line).unwrap_or_default();
    let text = document["fields"]["message"].as_str().or_else(|| document["message"].as_str());
    match (document["level"].as_str(), text) {
        (Some(level), Some(text)) => format!("{level} {text}"),
        _ => line.chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_message() {
        let log = "{\"level\":\"WARN\",\"fields\":{\"message\":\"slow\",\"ms\":1}}\n\
                   {\"level\":\"WARN\",\"fields\":{\"message\":\"slow\",\"ms\":2}}\nthread 'x' panicked at y:1\n";
        let facts = LogFacts::of([log, "url: hunter2\n"], &["hunter2"]);
        assert_eq!((facts.lines, facts.secrets, facts.panics.len()), (4, 1, 1));
        assert_eq!(facts.bytes, log.len() as u64 + 13);
        assert_eq!(facts.messages[0], (2, "WARN slow".to_owned()));
    }
}
