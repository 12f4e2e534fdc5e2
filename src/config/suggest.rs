//! "did you mean": what a wrong name was probably meant to be.

/// The candidate that is nearest to `name`, if one is near enough to be worth a question.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let limit = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| {
            let known = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&name, &known);
            let (short, long) = if name.len() < known.len() {
                (&name, &known)
            } else {
                (&known, &name)
            };
            // One that was cut off, or that goes on: `int` for `integer`, `boolean` for `bool`.
            let cut = short.len() >= 3 && long.starts_with(short.as_str());
            (if cut { distance.min(limit) } else { distance }, candidate)
        })
        .filter(|&(distance, candidate)| distance <= limit && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown name: the nearest one, then everything that is allowed.
pub fn hint<'a>(name: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let list = list(allowed.iter().copied());
    match closest(name, allowed) {
        Some(near) => format!("did you mean `{near}`? allowed: {list}"),
        None => format!("allowed: {list}"),
    }
}

/// Names in backticks with commas between them; `nothing` where there are none.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "nothing".to_owned()
    } else {
        quoted.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_only_where_a_name_is_near() {
        let names = ["scrape", "refresh", "score"];
        assert_eq!(closest("srcape", names), Some("scrape"));
        assert_eq!(closest("Scor", names), Some("score"));
        assert_eq!(closest("int", ["number", "integer"]), Some("integer"));
        assert_eq!(closest("persist", names), None);
        assert_eq!(closest("a", ["b"]), None);
        assert_eq!(
            hint("refesh", names),
            "did you mean `refresh`? allowed: `scrape`, `refresh`, `score`"
        );
        assert_eq!(hint("x", []), "allowed: nothing");
    }
}
