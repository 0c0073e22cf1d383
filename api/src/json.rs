// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading what clients send: names in any case, with or without `_`, numbers and booleans also as texts, unknown names ignored.

use std::collections::HashMap;

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value};

/// A JSON body.
#[derive(Clone)]
pub struct Body(pub Value);

/// A JSON body that may be absent altogether.
pub struct OptionalBody(pub Value);

/// The query of a URL; names are compared without case.
pub struct Query(HashMap<String, String>);

fn normal(name: &str) -> String {
    name.chars()
        .filter(|character| *character != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// The value of a name; none when it is absent or null.
pub fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    let found = object.get(name).or_else(|| {
        let wanted = normal(name);
        object
            .iter()
            .find(|(key, _)| normal(key) == wanted)
            .map(|(_, value)| value)
    });
    found.filter(|value| !value.is_null())
}

/// Whether a name is there, even as null.
pub fn has(object: &Value, name: &str) -> bool {
    let wanted = normal(name);
    object
        .as_object()
        .is_some_and(|object| object.keys().any(|key| normal(key) == wanted))
}

/// A text; numbers and booleans are taken as their texts.
pub fn text(object: &Value, name: &str) -> Option<String> {
    as_text(field(object, name)?)
}

/// The text of a simple value.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// A whole number.
pub fn integer(object: &Value, name: &str) -> Option<i64> {
    match field(object, name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Yes or no.
pub fn boolean(object: &Value, name: &str) -> Option<bool> {
    match field(object, name)? {
        Value::Bool(value) => Some(*value),
        Value::String(text) => boolean_text(text),
        _ => None,
    }
}

/// Yes or no, as texts say it.
pub fn boolean_text(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Texts of an array.
pub fn texts(object: &Value, name: &str) -> Option<Vec<String>> {
    let values = field(object, name)?.as_array()?;
    Some(values.iter().filter_map(as_text).collect())
}

/// An object of texts; null stays none.
pub fn text_map(value: &Value) -> Option<Vec<(String, Option<String>)>> {
    let object: &Map<String, Value> = value.as_object()?;
    Some(
        object
            .iter()
            .map(|(name, value)| (name.clone(), as_text(value)))
            .collect(),
    )
}

impl Query {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    pub fn boolean(&self, name: &str) -> bool {
        self.text(name).and_then(boolean_text).unwrap_or(false)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name).to_ascii_lowercase(), decode(value))
        });
        Ok(Self(pairs.collect()))
    }
}

/// Replaces `%XX` and `+` in a part of a query.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let hexadecimal = bytes
            .get(position + 1..position + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[position], hexadecimal) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                position += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        position += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Encodes a text as one part of a path or query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

async fn read<S: Send + Sync>(request: Request, state: &S, is_optional: bool) -> Result<Value, Response> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    let is_json = content_type
        .as_deref()
        .is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"));
    let bytes = Bytes::from_request(request, state)
        .await
        .map_err(IntoResponse::into_response)?;
    if is_optional && bytes.is_empty() {
        return Ok(Value::Null);
    }
    if !is_json {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
    }
    serde_json::from_slice(&bytes).map_err(|_| StatusCode::BAD_REQUEST.into_response())
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        read(request, state, false).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalBody {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        read(request, state, true).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_in_any_spelling_and_values_in_any_type() {
        let body = json!({"restorePath": "/x", "Overwrite": "True", "count": "7", "none": null});
        assert_eq!(text(&body, "restore_path").as_deref(), Some("/x"));
        assert_eq!(boolean(&body, "overwrite"), Some(true));
        assert_eq!(integer(&body, "Count"), Some(7));
        assert_eq!(text(&body, "none"), None);
        assert!(has(&body, "NONE") && !has(&body, "other"));
    }

    #[test]
    fn decoding_undoes_encoding_and_survives_nonsense() {
        let text = "ä b/c?&=+%";
        assert_eq!(decode(&encode(text)), text);
        assert_eq!(decode("a+b%2"), "a b%2");
        assert_eq!(decode("%zz%ff"), "%zz\u{fffd}");
    }
}
