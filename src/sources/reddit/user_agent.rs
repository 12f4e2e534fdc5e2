//! The user agent, which Reddit wants to name the program and the account that answers for it.

use crate::sources::Error;

/// What Reddit asks for.
const FORM: &str = "`PLATFORM:APP:VERSION (by /u/ACCOUNT)`";

/// Accounts that stand in examples.
const PLACEHOLDERS: &[&str] = &[
    "account",
    "me",
    "name",
    "reddit_username",
    "redditusername",
    "someone",
    "username",
    "user",
    "you",
    "your_username",
    "yourname",
    "yourusername",
    "your_name",
    "example",
];

/// The user agent that is set, or else one made of the account's name.
///
/// # Errors
///
/// [`Error::Unfit`] where neither is given or the text is not of Reddit's form: calls of others are
/// refused, or slowed down to nothing.
pub fn user_agent(set: Option<&str>, username: Option<&str>) -> Result<String, Error> {
    if let Some(agent) = set {
        check(agent)?;
        return Ok(agent.to_owned());
    }
    let Some(username) = username else {
        return Err(Error::Unfit(format!(
            "Reddit wants to know who asks, and neither `reddit.user_agent` nor \
             `reddit.username` is set; set the account that answers for this application, or a \
             user agent of the form {FORM}"
        )));
    };
    let username = username.trim_start_matches("/u/").trim_start_matches("u/");
    let agent = format!(
        "{}:trendmill:{} (by /u/{username})",
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION")
    );
    check(&agent)?;
    Ok(agent)
}

fn check(agent: &str) -> Result<(), Error> {
    let refused = |what: String| {
        Err(Error::Unfit(format!(
            "Reddit would refuse the user agent `{}`: {what}; it wants {FORM}",
            agent.escape_debug()
        )))
    };
    let Some((program, by)) = agent.split_once(" (by ") else {
        return refused("it names nobody who answers for it".to_owned());
    };
    let account = by
        .strip_suffix(')')
        .and_then(|by| by.strip_prefix("/u/").or_else(|| by.strip_prefix("u/")));
    let Some(account) = account else {
        return refused("what is in its brackets is not `by /u/ACCOUNT`".to_owned());
    };
    let is_name = (3..=20).contains(&account.len())
        && account
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if PLACEHOLDERS.contains(&account.to_ascii_lowercase().as_str()) {
        return refused(format!("`{account}` stands in examples, and is not you"));
    }
    if !is_name {
        return refused(format!(
            "`{account}` is no account: 3 to 20 letters, digits, `_` and `-`"
        ));
    }
    let parts: Vec<&str> = program.split(':').collect();
    let is_word = |part: &&str| {
        !part.trim().is_empty() && part.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    if parts.len() != 3 || !parts.iter().all(is_word) {
        return refused("what is before its brackets is not `PLATFORM:APP:VERSION`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_program_and_who_answers_for_it() {
        let made = user_agent(None, Some("u/careful_person")).unwrap();
        assert!(made.ends_with(" (by /u/careful_person)"), "{made}");
        assert!(made.contains(":trendmill:0."), "{made}");
        let set = "linux:org.example.mill:v1.2 (by /u/careful-person)";
        assert_eq!(user_agent(Some(set), None).unwrap(), set);
    }

    #[test]
    fn refuses_what_reddit_refuses() {
        for wrong in [
            "",
            "just-passing-by",
            "Mozilla/5.0 (X11; Linux x86_64)",
            "python-requests/2.31",
            "linux:mill:1 (by /u/username)",
            "linux:mill:1 (by /u/me)",
            "linux:mill:1 (by careful_person)",
            "linux:mill:1 (by /u/careful person)",
            "linux:mill (by /u/careful_person)",
            "linux::1 (by /u/careful_person)",
            "linux:mill\n:1 (by /u/careful_person)",
            "linux:mill:1 (by /u/careful_person) x",
        ] {
            assert!(
                user_agent(Some(wrong), Some("careful_person")).is_err(),
                "{wrong}"
            );
        }
        let error = user_agent(None, None).unwrap_err().to_string();
        assert!(error.contains("`reddit.username`"), "{error}");
        assert!(user_agent(None, Some("your name")).is_err());
    }
}
