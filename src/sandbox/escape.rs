//! Texts as Reddit writes them to who does not ask for `raw_json=1`.

use axum::body::Bytes;
use serde_json::Value;

/// Whether a query asks for texts as they are.
pub(super) fn is_raw(query: Option<&str>) -> bool {
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).any(|(name, value)| name == "raw_json" && value == "1")
}

/// An answer with `&`, `<` and `>` of all its texts as `&amp;`, `&lt;` and `&gt;`.
pub(super) fn escaped(body: Bytes) -> Bytes {
    if !body.iter().any(|byte| matches!(byte, b'&' | b'<' | b'>')) {
        return body;
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(mut answer) => {
            escape(&mut answer);
            Bytes::from(answer.to_string())
        }
        Err(_) => body,
    }
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
        }
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Object(fields) => fields.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_wherever_they_stand() {
        let body = br#"{"data": [{"title": "Tom & Jerry <3", "score": 7}], "a&b": null}"#;
        let wanted = r#"{"data":[{"title":"Tom &amp; Jerry &lt;3","score":7}],"a&b":null}"#;
        assert_eq!(escaped(Bytes::from_static(body)), wanted);
        assert!(is_raw(Some("limit=3&raw_json=1")));
        assert!(!is_raw(Some("raw_json=0")) && !is_raw(None));
    }
}
