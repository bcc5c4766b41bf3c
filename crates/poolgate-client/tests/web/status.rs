//! `<poolgate-status>` in a real page.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::Element;

use crate::support::*;

#[wasm_bindgen(module = "/js/status.js")]
extern "C" {
    fn define();
}

#[wasm_bindgen(inline_js = r#"
export class Source extends EventTarget {
  state = { level: "NORMAL", breaker: "closed", queued: 0, stale: false, transport: "sse" };
  set(changes) {
    Object.assign(this.state, changes);
    this.dispatchEvent(new Event("levelchange"));
  }
}
export function colorOf(element) { return getComputedStyle(element).color; }
"#)]
extern "C" {
    type Source;
    #[wasm_bindgen(constructor)]
    fn new() -> Source;
    #[wasm_bindgen(method, js_name = set)]
    fn change(this: &Source, changes: &JsValue);
    #[wasm_bindgen(js_name = colorOf)]
    fn color_of(element: &Element) -> String;
}

/// What an element shows.
struct Shown {
    host: Element,
    base: Element,
}

impl Shown {
    fn new(attributes: &[(&str, &str)], source: Option<&JsValue>) -> Self {
        define();
        let document = web_sys::window().expect("a page").document().expect("a document");
        let host = document.create_element("poolgate-status").expect("an element");
        for (name, value) in attributes {
            host.set_attribute(name, value).expect("set");
        }
        if let Some(source) = source {
            set(&host, "source", source);
        }
        document.body().expect("a body").append_child(&host).expect("appended");
        let base = host.shadow_root().expect("open").query_selector(".base").ok().flatten().expect("a base");
        Self { host, base }
    }

    fn state(&self) -> String {
        self.base.get_attribute("data-state").unwrap_or_default()
    }

    fn text(&self) -> String {
        self.base.text_content().unwrap_or_default()
    }

    fn is_hidden(&self) -> bool {
        self.base.has_attribute("hidden")
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.host.remove();
    }
}

#[wasm_bindgen_test]
async fn it_shares_a_client() {
    let source = Source::new();
    let shown = Shown::new(&[], Some(&source));
    assert_eq!((shown.state().as_str(), shown.is_hidden()), ("normal", true), "nothing to say");
    shown.host.set_attribute("always", "").expect("set");
    assert!(!shown.is_hidden());

    source.change(&json(r#"{ "level": "AGGRESSIVE", "queued": 3 }"#));
    assert_eq!(shown.state(), "normal", "not yet: it may pass");
    sleep(2200).await;
    assert_eq!(shown.state(), "aggressive");
    assert!(shown.text().contains("3 waiting"), "{}", shown.text());
    assert!(shown.text().starts_with('\u{25b2}'), "an icon beside color and words");
    assert!(color_of(&shown.base) == "rgb(184, 79, 0)" || color_of(&shown.base) == "rgb(240, 128, 60)");

    let document = web_sys::window().expect("a page").document().expect("a document");
    let announcer = document.query_selector("[data-poolgate-announcer]").ok().flatten().expect("in the page itself");
    assert_eq!(announcer.get_attribute("aria-live").as_deref(), Some("polite"));
    until("it is announced", || announcer.text_content().unwrap_or_default().contains("We are busy")).await;
}

#[wasm_bindgen_test]
async fn what_passes_quickly_is_not_shown() {
    let source = Source::new();
    let shown = Shown::new(&[], Some(&source));
    source.change(&json(r#"{ "level": "EMERGENCY" }"#));
    sleep(100).await;
    source.change(&json(r#"{ "level": "NORMAL" }"#));
    sleep(2200).await;
    assert_eq!(shown.state(), "normal");
}

#[wasm_bindgen_test]
async fn it_asks_for_itself() {
    for (document, state, words) in [
        (MODERATE, "moderate", "Slightly slower"),
        (OPEN, "emergency", "not responding"),
        (MALFORMED, "normal", ""),
        ("not json", "unknown", "Status unknown"),
        ("null", "unknown", "Status unknown"),
    ] {
        let address = format!("data:application/json,{}", js_sys::encode_uri_component(document));
        let shown = Shown::new(&[("src", &address), ("announce", "off")], None);
        until(state, || shown.state() == state && shown.text().contains(words)).await;
    }
}

#[wasm_bindgen_test]
fn it_never_throws() {
    for source in [JsValue::NULL, JsValue::from_str("x"), json("{}")] {
        let shown = Shown::new(&[("variant", "nonsense"), ("poll", "-1"), ("src", "http://[")], Some(&source));
        set(&shown.host, "labels", &json(r#"{ "unknown": 7, "other": null }"#));
        assert_eq!(shown.base.get_attribute("data-variant").as_deref(), Some("badge"));
        assert_eq!(Reflect::get(&shown.host, &"source".into()), Ok(JsValue::NULL));
    }
}

#[wasm_bindgen_test]
fn a_banner_keeps_quiet_unless_something_is_wrong() {
    let source = Source::new();
    source.change(&json(r#"{ "level": "MODERATE" }"#));
    let shown = Shown::new(&[("variant", "banner")], Some(&source));
    assert!(shown.is_hidden());
    let source = Source::new();
    source.change(&json(r#"{ "level": "EMERGENCY", "breaker": "open" }"#));
    let shown = Shown::new(&[("variant", "banner")], Some(&source));
    assert!(!shown.is_hidden() && shown.text().contains("not responding"));
}
