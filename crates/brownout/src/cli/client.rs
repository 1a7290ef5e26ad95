//! Asks a running server over its JSON API, as plain HTTP.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::console::Table;
use super::exit::Failure;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The whole time for one question.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which server is asked.
#[derive(Args, Clone, Debug)]
pub struct ServerArg {
    /// The running server to ask, as plain HTTP
    #[arg(long, value_name = "URL", env = "BROWNOUT_SERVER", default_value = "http://127.0.0.1:8750")]
    pub server: String,
}

/// A connection to one server.
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// A client of the server at `base`.
    ///
    /// # Errors
    /// `base` is not an `http://` address.
    pub fn new(base: &str) -> Result<Self, Failure> {
        if base.strip_prefix("http://").is_none_or(str::is_empty) {
            let hint = "ask the server's own plain HTTP address, such as http://127.0.0.1:8750";
            return Err(Failure::usage(format!("--server {base}: {hint}")));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("brownout/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client { agent: config.into(), base: base.trim_end_matches('/').to_owned() })
    }

    /// The text at `path`, with `query` added and escaped.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses: then its own words.
    pub fn text(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        for (key, value) in query {
            request = request.query(key, value);
        }
        let mut answer = request
            .call()
            .map_err(|error| Failure::new(format!("{url}: {error} (is `brownout serve` running there?)")))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| Failure::new(format!("{url}: {error}")))?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Failure::new(format!("{url}: {}", refusal(status.as_u16(), &body))))
    }

    /// The JSON document at `path`.
    ///
    /// # Errors
    /// As [`Client::text`], or the answer is not JSON.
    pub fn json(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let body = self.text(path, query)?;
        serde_json::from_str(&body)
            .map_err(|error| Failure::new(format!("{}{path}: the answer is not JSON: {error}", self.base)))
    }
}

/// The server's own words about why it refused (RFC 9457), else the bare status.
fn refusal(status: u16, body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let word = |key: &str| problem[key].as_str().filter(|text| !text.is_empty());
    match (word("title"), word("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail} ({status})"),
        (Some(only), None) | (None, Some(only)) => format!("{only} ({status})"),
        (None, None) => format!("answered {status}"),
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The objects of the list `key` in a document, as rows. A column is `name=path.to.value`, or only
/// `name`; one that no object has is left out, so an older server's answer still makes a table.
pub fn rows(document: &Value, key: &str, columns: &[&str]) -> Table {
    let list = document.get(key).unwrap_or(document).as_array().cloned().unwrap_or_default();
    let mut table = Table::default();
    let mut paths = Vec::new();
    for column in columns {
        let (name, path) = column.split_once('=').unwrap_or((column, column));
        let pointer = format!("/{}", path.replace('.', "/"));
        if list.is_empty() || list.iter().any(|object| object.pointer(&pointer).is_some()) {
            table.columns.push(name.to_owned());
            paths.push(pointer);
        }
    }
    for object in &list {
        table.rows.push(paths.iter().map(|path| object.pointer(path).cloned().unwrap_or_default()).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_plain_http_is_asked() {
        for base in ["https://x", "x", "http://", "file:///etc"] {
            assert_eq!(Client::new(base).err().map(|failure| failure.exit), Some(super::super::Exit::Usage));
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = r#"{"title":"No such service","detail":"the catalogue has no \"xx\""}"#;
        assert_eq!(refusal(404, body), "No such service: the catalogue has no \"xx\" (404)");
        assert_eq!(refusal(502, "<html>"), "answered 502");
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("../é?x=1#"), "..%2F%C3%A9%3Fx%3D1%23");
    }

    #[test]
    fn columns_that_nobody_has_are_left_out() {
        let document = json!({"list": [{"a": 1, "b": {"c": "x"}}, {"a": 2}]});
        let table = rows(&document, "list", &["a", "deep=b.c", "gone"]);
        assert_eq!(table.columns, ["a", "deep"]);
        assert_eq!(table.rows, vec![vec![json!(1), json!("x")], vec![json!(2), Value::Null]]);
    }
}
