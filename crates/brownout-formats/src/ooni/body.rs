//! Answers: status, header fields, body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brownout_core::reach::Response;
use serde_json::Value;

use super::fields::{field, list, number, pairs};

/// How much of a body is kept for fingerprints, in bytes.
const BODY_KEPT_MAX: usize = 65_536;

/// The answer in a request's `response`; `None` where none came.
pub(super) fn response_in(value: &Value) -> Option<Response> {
    let status =
        number(value, "code").and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 100)?;
    let body = bytes_in(field(value, "body"));
    let is_truncated = field(value, "body_is_truncated").as_bool().unwrap_or(false);
    let title = body.as_deref().and_then(Response::title_of);
    let body_length = body.as_ref().map(|body| body.len() as u64);
    let mut body = body.unwrap_or_default();
    body.truncate(BODY_KEPT_MAX);
    Some(Response { status, headers: headers_in(value), title, body_length, is_truncated, body })
}

/// Header fields, from the list if there is one, for the object has only one of each name.
pub(super) fn headers_in(value: &Value) -> Vec<(String, String)> {
    let listed = list(value, "headers_list");
    if !listed.is_empty() {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), text_of(pair.get(1)?)?));
        return listed.iter().filter_map(pair).collect();
    }
    pairs(value, "headers").filter_map(|(name, value)| Some((name.to_owned(), text_of(value)?))).collect()
}

fn text_of(value: &Value) -> Option<String> {
    Some(String::from_utf8_lossy(&bytes_in(value)?).into_owned())
}

/// Bytes that are written as text, or as `{"format": "base64", "data": ...}` where they are none.
fn bytes_in(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(_) => {
            let data = field(value, "data").as_str()?;
            // Some programs left out the padding.
            let padded = format!("{data}{}", &"==="[..(4 - data.len() % 4) % 4]);
            STANDARD.decode(padded).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_text_or_base64_with_or_without_padding() {
        let body =
            |value: Value| response_in(&json!({"code": 200, "body": value})).map(|response| response.body);
        assert_eq!(body(json!("hi")).as_deref(), Some(b"hi".as_slice()));
        assert_eq!(body(json!({"format": "base64", "data": "aGk"})).as_deref(), Some(b"hi".as_slice()));
        assert_eq!(body(json!({"format": "base64", "data": "aGk="})).as_deref(), Some(b"hi".as_slice()));
        assert_eq!(body(json!({"format": "base64", "data": "?"})).as_deref(), Some(b"".as_slice()));
        assert_eq!(response_in(&json!({"body": "hi"})), None);
    }
}
