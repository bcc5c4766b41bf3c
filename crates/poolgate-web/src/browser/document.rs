//! Reads the server's documents: the browser's `JSON.parse`, and what it gives as the types of `poolgate-types`.
//!
//! It is strict where the npm package is. serde_json would bring its parser a second time for each type, and
//! serde-wasm-bindgen messages that nothing shows; both cost a page some KB more.

use std::fmt;

use js_sys::JSON;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor,
    value::{StringDeserializer, UnitDeserializer},
};
use wasm_bindgen::prelude::*;

/// The largest whole number that a JavaScript number holds exactly.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A document in a text; `None`: malformed.
pub(super) fn parsed<T: de::DeserializeOwned>(text: &str) -> Option<T> {
    read(JSON::parse(text).ok()?)
}

/// A document that the browser has parsed; `None`: malformed.
pub(super) fn read<T: de::DeserializeOwned>(value: JsValue) -> Option<T> {
    T::deserialize(Value(value)).ok()
}

/// A member of a document, if it is a text.
pub(super) fn text(document: &JsValue, member: &str) -> Option<String> {
    if document.is_object() { document.unchecked_ref::<Object>().get(member).as_string() } else { None }
}

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type Object;

    #[wasm_bindgen(method, structural, indexing_getter)]
    fn get(this: &Object, member: &str) -> JsValue;
}

struct Value(JsValue);

impl Value {
    fn whole(&self, most: f64) -> Result<f64, Malformed> {
        let number = self.0.as_f64().ok_or(Malformed)?;
        // NaN is outside too.
        if (0.0..=most).contains(&number) && number.trunc() == number { Ok(number) } else { Err(Malformed) }
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Malformed;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_bool(self.0.as_bool().ok_or(Malformed)?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_u32(self.whole(f64::from(u32::MAX))? as u32)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_u64(self.whole(MAX_SAFE_INTEGER)? as u64)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_f64(self.0.as_f64().ok_or(Malformed)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        if self.0.is_undefined() || self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        let word: StringDeserializer<Malformed> = self.0.as_string().ok_or(Malformed)?.into_deserializer();
        visitor.visit_enum(word)
    }

    /// In the order of its members, which is less code than by their names.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        if !self.0.is_object() {
            return Err(Malformed);
        }
        visitor.visit_seq(Members { object: self.0.unchecked_into(), members: members.iter() })
    }

    /// No document that is read here has others.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        UnitDeserializer::new().deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// The members of an object, in the order in which a type has them.
struct Members {
    object: Object,
    members: std::slice::Iter<'static, &'static str>,
}

impl<'de> SeqAccess<'de> for Members {
    type Error = Malformed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Malformed> {
        self.members.next().map(|member| seed.deserialize(Value(self.object.get(member)))).transpose()
    }
}

/// The document is ignored, so why it is malformed does not matter.
#[derive(Debug)]
struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Malformed {}

impl de::Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
