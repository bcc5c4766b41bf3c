//! The constants that the scripts need.

use std::{fmt::Debug, time::Duration};

use poolgate::demo::routes as demo;
use poolgate_types::{
    CONFIG_HEADER, CircuitState, Health, Level, Problem, codes as problems, routes,
    timing::{self, milliseconds},
};
use serde::Serialize;

use super::head;
use crate::codes::{self, detail, event, learned, news, outcome, reason};

/// `js/contract.js` of the package.
pub(super) fn client() -> String {
    let mut script = Script::new("What the client, its module and the server agree on.");
    script.texts(
        "Paths of the server, and its header.",
        &[
            ("HEALTH_PREFIX", routes::HEALTH_PREFIX),
            ("THROTTLING_CONFIG", routes::THROTTLING_CONFIG),
            ("EVENTS", routes::EVENTS),
            ("FORCE_CLEANUP", routes::FORCE_CLEANUP),
            ("CONFIG_HEADER", CONFIG_HEADER),
        ],
    );
    script.texts(
        "Problem documents of the gate.",
        &[
            ("PROBLEM_JSON", Problem::CONTENT_TYPE),
            ("REDUCED_CAPACITY", Problem::TEMPORARY_REDUCED_CAPACITY),
            ("QUOTA_EXCEEDED_TYPE", Problem::QUOTA_EXCEEDED),
            ("DATABASE_UNAVAILABLE", problems::DATABASE_UNAVAILABLE),
            ("QUOTA_EXCEEDED", problems::QUOTA_EXCEEDED),
        ],
    );
    script.times(&[
        ("POLL", timing::POLL),
        ("HEARTBEAT", timing::HEARTBEAT),
        ("SILENCE_ENFORCED", timing::SILENCE_ENFORCED),
        ("SILENCE", timing::SILENCE),
        ("RETURN_WITHIN", timing::RETURN_WITHIN),
        ("LEAST_RETURN", timing::LEAST_RETURN),
        ("LONGEST_RETURN", timing::LONGEST_RETURN),
        ("RETRY", timing::RETRY),
        ("LONGEST_RETRY", timing::LONGEST_RETRY),
        ("ANSWER_TIMEOUT", timing::ANSWER_TIMEOUT),
    ]);
    script.section("Words whose places in these lists are their codes in the module.");
    script.words("LEVELS", "ThrottlingLevel", &[0, 1, 2, 3].map(codes::level));
    script.words("HEALTHS", "Health", &[0, 1, 2].map(codes::health));
    let circuits = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];
    script.words("CIRCUITS", "CircuitState", &circuits);
    let priorities = [0, 1, 2, 3].map(codes::priority).map(lower_case);
    script.line(&format!("export const PRIORITIES = {};", list(&priorities)));
    script.line(&format!("export const NORMAL = {};", place(&priorities, "normal")));
    script.line(&format!("export const AGGRESSIVE = {};", codes::of_level(Level::Aggressive)));
    script.section("Codes of the module.");
    script.codes("What the throttle tells; 0 is nothing.", "Event", event::ALL);
    script.codes("Places of the details.", "Detail", detail::ALL);
    script.codes("News without content.", "News", news::ALL);
    script.codes("Why a request is rejected.", "Reason", reason::ALL);
    script.codes("How a request has ended.", "Outcome", outcome::ALL);
    script.codes("What became of news.", "Learned", learned::ALL);
    script.0
}

/// `www/js/contract.js` of the operations page.
pub(super) fn page() -> String {
    let mut script = Script::new("What the page and the server agree on.");
    script.texts(
        "Paths of the server.",
        &[
            ("STATUS", routes::STATUS),
            ("THROTTLING_CONFIG", routes::THROTTLING_CONFIG),
            ("HISTORY", routes::HISTORY),
            ("ACTIVITY", routes::ACTIVITY),
            ("EVENTS", routes::EVENTS),
            ("FORCE_CLEANUP", routes::FORCE_CLEANUP),
            ("LAB_LOAD", demo::LAB_LOAD),
            ("LAB_HOLD", demo::LAB_HOLD),
            ("SHOP_PREFIX", demo::SHOP_PREFIX),
        ],
    );
    script.times(&[
        ("SILENCE_ENFORCED", timing::SILENCE_ENFORCED),
        ("RETRY", timing::RETRY),
        ("LONGEST_RETRY", timing::LONGEST_RETRY),
        ("ANSWER_TIMEOUT", timing::ANSWER_TIMEOUT),
    ]);
    script.0
}

struct Script(String);

impl Script {
    fn new(about: &str) -> Self {
        Self(format!("// @ts-check\n{}", head(about)))
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, about: &str) {
        self.line(&format!("\n// {about}"));
    }

    fn texts(&mut self, about: &str, texts: &[(&str, &str)]) {
        self.section(about);
        for (name, text) in texts {
            self.line(&format!("export const {name} = {text:?};"));
        }
    }

    fn times(&mut self, times: &[(&str, Duration)]) {
        self.section("Times in milliseconds; crates/poolgate-types/src/timing.rs explains them.");
        for (name, time) in times {
            self.line(&format!("export const {name}_MS = {};", milliseconds(*time)));
        }
    }

    fn words<T: Serialize>(&mut self, name: &str, kind: &str, words: &[T]) {
        let words: Vec<_> = words.iter().map(wire).collect();
        self.line(&format!("/** @type {{import(\"./wire.js\").{kind}[]}} */"));
        self.line(&format!("export const {name} = {};", list(&words)));
    }

    fn codes(&mut self, about: &str, name: &str, codes: &[(&str, u8)]) {
        let members: Vec<_> = codes.iter().map(|(name, code)| format!("{}: {code}", camel_case(name))).collect();
        self.line(&format!("/** {about} */\nexport const {name} = {{ {} }};", members.join(", ")));
    }
}

/// The word for a value as it stands on the wire.
fn wire<T: Serialize>(value: &T) -> String {
    let word = serde_json::to_value(value).expect("a word");
    word.as_str().expect("a word").to_owned()
}

fn list(words: &[String]) -> String {
    format!("{words:?}")
}

fn place(words: &[String], word: &str) -> usize {
    words.iter().position(|known| known == word).expect("a word of the list")
}

fn lower_case(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// `NO_CONTACT` → `noContact`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_').map(str::to_lowercase);
    let first = words.next().unwrap_or_default();
    words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]))
}

#[test]
fn a_word_has_the_place_that_its_code_says() {
    for (code, health) in [Health::Healthy, Health::Degraded, Health::Critical].into_iter().enumerate() {
        assert_eq!(codes::health(code as u8), health);
    }
    assert_eq!(camel_case("RETRY_AFTER"), "retryAfter");
}
