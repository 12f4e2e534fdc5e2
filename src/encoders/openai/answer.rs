//! What a server answers → a caption, or the reason why there is none.

use serde_json::{Map, Value};

use crate::media::is_html;

/// What the model wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// Its words, without what it thought before and spaces around them.
    pub(super) text: String,
    /// Why it ended: `stop`, `length`.
    pub(super) finish_reason: Option<String>,
    /// The tokens that the server counted, by its names.
    pub(super) usage: Map<String, Value>,
}

/// Reads the body of a successful answer; the error is a reason code with words.
pub(super) fn read(body: &[u8]) -> Result<Answer, (&'static str, String)> {
    let Ok(found) = serde_json::from_slice::<Value>(body) else {
        return Err(if is_html(body) {
            ("html", "the server answered with a web page".to_owned())
        } else {
            ("malformed", "the server's answer is not JSON".to_owned())
        });
    };
    let malformed = |what: &str| ("malformed", format!("the server's answer has no {what}"));
    let choices = found.get("choices").and_then(Value::as_array);
    let choices = choices.ok_or_else(|| malformed("list `choices`"))?;
    let empty = || ("empty", "the model wrote nothing".to_owned());
    let choice = choices.first().ok_or_else(empty)?;
    let message = choice.get("message").filter(|message| message.is_object());
    let message = message.ok_or_else(|| malformed("`message` in its first choice"))?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(part).collect(),
        None | Some(Value::Null) => String::new(),
        Some(_) => return Err(malformed("text as its `content`")),
    };
    let text = clean(&text);
    if text.is_empty() {
        return Err(match message.get("refusal").and_then(Value::as_str) {
            Some(_) => ("refused", "the model refused to answer".to_owned()),
            None => empty(),
        });
    }
    Ok(Answer {
        text,
        finish_reason: choice
            .get("finish_reason")
            .and_then(Value::as_str)
            .map(|reason| reason.chars().take(40).collect()),
        usage: counts(found.get("usage")),
    })
}

/// The words of one part of a message.
fn part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        part => part.get("text")?.as_str(),
    }
}

/// A text without thoughts, control characters and spaces around it.
fn clean(text: &str) -> String {
    let text = text.trim();
    let text = match text.strip_prefix("<think>") {
        // A thought that has no end has used up all tokens.
        Some(thought) => thought.split_once("</think>").map_or("", |(_, text)| text),
        None => text,
    };
    let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let kept: String = text.chars().filter(is_kept).collect();
    kept.trim().to_owned()
}

fn counts(usage: Option<&Value>) -> Map<String, Value> {
    ["prompt_tokens", "completion_tokens", "total_tokens"]
        .into_iter()
        .filter_map(|name| {
            let count = usage?.get(name)?.as_u64()?;
            Some((name.to_owned(), Value::from(count)))
        })
        .collect()
}

/// What a server says of its refusal, in a line of its own words.
pub(super) fn complaint(body: &[u8]) -> Option<String> {
    let found: Value = serde_json::from_slice(body).ok()?;
    let error = found.get("error").unwrap_or(&found);
    let text = error.as_str().or_else(|| {
        ["message", "detail"]
            .into_iter()
            .find_map(|name| error.get(name)?.as_str())
    })?;
    let words: Vec<&str> = text.split_whitespace().collect();
    Some(words.join(" ").chars().take(200).collect())
}

/// Whether a refusal will not pass by itself although its status says so: there is no credit left.
pub(super) fn is_out_of_credit(body: &[u8]) -> bool {
    let found: Option<Value> = serde_json::from_slice(body).ok();
    let code = |found: &Value| {
        let error = found.get("error")?;
        let code = error.get("code").or_else(|| error.get("type"))?;
        code.as_str().map(str::to_owned)
    };
    found.as_ref().and_then(code).as_deref() == Some("insufficient_quota")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text_of(message: &Value) -> Result<String, &'static str> {
        let body = json!({ "choices": [{ "message": message, "finish_reason": "stop" }] });
        match read(body.to_string().as_bytes()) {
            Ok(answer) => Ok(answer.text),
            Err((reason, _)) => Err(reason),
        }
    }

    #[test]
    fn content_is_a_text_or_parts() {
        let content = |content: Value| text_of(&json!({ "content": content }));
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(content(json!(" a cat\n")), ok("a cat"));
        let parts = json!([{ "type": "text", "text": "a " }, { "type": "x" }, "cat"]);
        assert_eq!(content(parts), ok("a cat"));
        assert_eq!(
            content(json!("<think>a dog?</think>\n\na cat")),
            ok("a cat")
        );
        assert_eq!(
            content(json!("a\u{0}\u{7} cat\nasleep")),
            ok("a cat\nasleep")
        );
        for nothing in [json!(""), json!(null), json!([]), json!("<think>a dog? or")] {
            assert_eq!(content(nothing), Err("empty"));
        }
        assert_eq!(content(json!(7)), Err("malformed"));
        assert_eq!(text_of(&json!({})), Err("empty"));
        assert_eq!(text_of(&json!("text")), Err("malformed"));
        let refusal = json!({ "content": null, "refusal": "no" });
        assert_eq!(text_of(&refusal), Err("refused"));
    }

    #[test]
    fn what_is_no_answer_has_a_reason() {
        for (body, reason) in [
            ("<!DOCTYPE html><p>no", "html"),
            ("{\"choices\": [", "malformed"),
            ("", "malformed"),
            ("[]", "malformed"),
            ("{\"choices\": {}}", "malformed"),
            ("{\"choices\": []}", "empty"),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().0, reason, "{body}");
        }
    }

    #[test]
    fn counts_and_complaints_are_kept_short() {
        let body = json!({
            "choices": [{ "message": { "content": "x" }, "finish_reason": "length" }],
            "usage": { "prompt_tokens": 9, "completion_tokens": -1, "more": { "a": 1 } },
        });
        let answer = read(body.to_string().as_bytes()).unwrap();
        assert_eq!(json!(answer.usage), json!({ "prompt_tokens": 9 }));
        assert_eq!(answer.finish_reason.as_deref(), Some("length"));
        let said = |body: Value| complaint(body.to_string().as_bytes());
        let words = Some("no such model".to_owned());
        assert_eq!(
            said(json!({ "error": { "message": "no such\nmodel" } })),
            words
        );
        assert_eq!(said(json!({ "error": "no such model" })), words);
        assert_eq!(said(json!({ "detail": "no such model" })), words);
        assert_eq!(
            said(json!({ "error": { "message": "x".repeat(999) } }))
                .unwrap()
                .len(),
            200
        );
        assert_eq!(complaint(b"<html>"), None);
    }
}
