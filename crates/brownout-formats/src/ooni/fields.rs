//! Looking into documents that programs of many years have written: what is not there, `null` or of another
//! kind is nothing.

use serde_json::Value;

/// A field of an object.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// A text that is not empty.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    field(value, name).as_str().filter(|text| !text.is_empty())
}

/// The parts of a list.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    field(value, name).as_array().map_or(&[], Vec::as_slice)
}

/// The pairs of an object.
pub(super) fn pairs<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    field(value, name).as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A number that is written as one or as text.
pub(super) fn number(value: &Value, name: &str) -> Option<i64> {
    let value = field(value, name);
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The tag of what is of an innocent name, tried for comparison.
pub(super) const CONTROL_NAME: &str = "brownout.control_name";
