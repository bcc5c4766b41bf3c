//! JavaScript reads the `Poolgate-Config` header itself, in the same way as `poolgate_types`.

use poolgate_types::{ConfigHeader, Level};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen(module = "/tests/web/host.js")]
extern "C" {
    fn read(text: &str) -> Vec<f64>;
    #[wasm_bindgen(js_name = levelOf)]
    fn level_of(word: &str) -> f64;
}

// `host.js` imports them, directly or not: naming an item of each brings the files along.
#[wasm_bindgen(module = "/js/engine/config.js")]
extern "C" {
    #[wasm_bindgen(js_name = isWhole)]
    fn is_whole(value: f64, least: f64, most: f64) -> bool;
}
#[wasm_bindgen(module = "/js/host/classes.js")]
extern "C" {
    #[wasm_bindgen(js_name = isObject)]
    fn is_object(value: f64) -> bool;
}
#[wasm_bindgen(module = "/js/contract.js")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = AGGRESSIVE)]
    static AGGRESSIVE: f64;
}

const LEVELS: [Level; 4] = [Level::Normal, Level::Moderate, Level::Aggressive, Level::Emergency];

/// The same by Rust.
fn expected(text: &str) -> Vec<f64> {
    let Ok(ConfigHeader { at, level, interval_ms, concurrency, open }) = text.parse() else { return Vec::new() };
    let level = LEVELS.iter().position(|known| *known == level).unwrap();
    let interval = interval_ms.map_or(-1.0, f64::from);
    vec![at.epoch as f64, at.version as f64, level as f64, interval, concurrency.into(), open.into()]
}

#[wasm_bindgen_test]
fn every_header_that_differs_from_a_good_one_by_one_character_is_read_as_in_rust() {
    let good = [
        "e=1763880000000, v=41, level=MODERATE, interval=417, concurrency=5, open=?0",
        "v=44,e=1763880000000,open,concurrency=1;x=2, level=UNHEARD_OF, new=(a b)",
        " open=?1;a ,level=NORMAL,\tinterval=7;b=1, e=0,v=1,concurrency=4294967295 ",
    ];
    let (mut accepted, mut refused) = (0, 0);
    for good in good {
        assert_eq!(read(good).len(), 6, "{good}");
        for at in 0..=good.len() {
            // Not the plus that Rust's numbers may have: no sender writes it, and the standard has none.
            for insert in ["", "=", ",", ";", " ", "\t", "?", "-", ".", "0", "9", "a", "E", "\"", "é"] {
                for skip in [0, 1] {
                    let Some(end) = good.get(at + skip..) else { continue };
                    let header = format!("{}{insert}{end}", &good[..at]);
                    let expected = expected(&header);
                    assert_eq!(read(&header), expected, "{header}");
                    if expected.is_empty() { refused += 1 } else { accepted += 1 }
                }
            }
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} {refused}");
}

#[wasm_bindgen_test]
fn a_level_is_the_same_code_on_both_sides() {
    for (code, level) in LEVELS.iter().enumerate() {
        assert_eq!(level_of(level.as_str()), code as f64);
    }
    assert_eq!(AGGRESSIVE.with(|code| *code), 2.0);
    assert!(!is_object(2.0));
}

#[wasm_bindgen_test]
fn a_number_that_javascript_lets_pass_arrives_whole() {
    let most = f64::from(u32::MAX);
    for number in [0.0, 1.0, most, most + 1.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(is_whole(number, 0.0, most), f64::from(number as u32) == number, "{number}");
    }
}
