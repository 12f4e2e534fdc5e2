//! Posts, people and communities of Reddit in the forms in which people copy them.

/// The short id that a text means: of `1abcde`, `t3_1abcde`, and of the address of a post or its
/// short link, in whatever case. None where it is no id, nor an address with one.
pub fn post_id(text: &str) -> Option<String> {
    let text = text.trim();
    let id = match address(text) {
        Some((host, path)) => {
            let mut parts = path.split('/').filter(|part| !part.is_empty());
            if host == "redd.it" {
                parts.next()?
            } else {
                parts.find(|part| matches!(*part, "comments" | "gallery" | "video" | "poll"))?;
                parts.next()?
            }
        }
        None => text,
    };
    let id = id.to_ascii_lowercase();
    let id = id.strip_prefix("t3_").unwrap_or(&id);
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

/// The name that a text means: of `some_name`, `u/some_name`, or the address of the account.
pub fn author_name(text: &str) -> &str {
    name(text, &["u", "user"])
}

/// The name that a text means: of `pics`, `r/pics`, or the address of the community.
pub fn community_name(text: &str) -> &str {
    name(text, &["r"])
}

fn name<'a>(text: &'a str, kinds: &[&str]) -> &'a str {
    let text = text.trim();
    let path = address(text).map_or(text, |(_, path)| path);
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next()) {
        (Some(kind), Some(name)) if kinds.contains(&&*kind.to_ascii_lowercase()) => name,
        _ => text,
    }
}

/// The host and the path of an address of Reddit; a path alone, as posts tell their own, has none.
fn address(text: &str) -> Option<(&str, &str)> {
    let text = text.split(['?', '#']).next().unwrap_or(text);
    if text.starts_with('/') || text.contains("/comments/") && !text.contains("://") {
        let at = text
            .find("reddit.com/")
            .map_or(0, |at| at + "reddit.com".len());
        return Some(("", &text[at..]));
    }
    let text = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    let (host, path) = text.split_once('/')?;
    let is_reddit = host == "redd.it" || host == "reddit.com" || host.ends_with(".reddit.com");
    is_reddit.then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_meant_in_whatever_form() {
        for text in [
            "1abcde",
            " 1ABcde ",
            "t3_1abcde",
            "T3_1ABCDE",
            "https://redd.it/1abcde",
            "redd.it/1abcde?utm=x",
            "https://www.reddit.com/r/pics/comments/1abcde/a_title/?context=3#c",
            "http://old.reddit.com/comments/1abcde",
            "reddit.com/r/pics/comments/1abcde/",
            "https://www.reddit.com/gallery/1abcde",
            "/r/pics/comments/1abcde/a_title/",
            "r/pics/comments/1abcde",
        ] {
            assert_eq!(post_id(text).as_deref(), Some("1abcde"), "{text}");
        }
        for text in [
            "",
            "# a remark",
            "t3_",
            "https://www.reddit.com/r/pics/s/1abcde",
            "https://www.reddit.com/r/pics/",
            "https://example.com/comments/1abcde",
            "https://i.redd.it/1abcde.jpg",
            "two words",
        ] {
            assert_eq!(post_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_meant_in_whatever_form() {
        for text in [
            "Some_name",
            "u/Some_name",
            "/u/Some_name",
            "U/Some_name",
            "/user/Some_name/",
            "https://www.reddit.com/user/Some_name/?sort=new",
        ] {
            assert_eq!(author_name(text), "Some_name", "{text}");
        }
        for text in ["pics", "r/pics", "/r/pics/", "https://reddit.com/r/pics"] {
            assert_eq!(community_name(text), "pics", "{text}");
        }
        assert_eq!(author_name("a/b"), "a/b");
    }
}
