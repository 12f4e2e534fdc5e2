//! `MLflow`'s filter strings: conditions joined by AND.

use std::cmp::Ordering;

use super::{
    refusal::Refusal,
    words::{Word, words},
};
use crate::store::SearchTest as Test;

pub(super) use crate::store::{SearchCell as Cell, SearchField as Field};

/// What can be searched.
pub(super) trait Searched {
    /// The attributes that it has.
    const ATTRIBUTES: &'static [&'static str];
    /// Those of them that are numbers.
    const NUMBERS: &'static [&'static str];
    /// Those of them that are asked for as numbers and as texts.
    const EITHER: &'static [&'static str] = &[];
    /// Whether it has metrics and parameters too.
    const IS_MEASURED: bool = false;

    /// What a field of it holds; nothing where it has none of this name.
    fn cell(&self, field: &Field) -> Option<Cell>;
}

/// A tag that clients ask about though no model has it: it does not hold where it is missing.
const PROMPT: &str = "mlflow.prompt.is_prompt";

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter(Vec<(Field, Test)>);

impl Filter {
    /// Reads a filter string over things of kind `T`.
    pub(super) fn read<T: Searched>(text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or_default();
        let wrong =
            |what: &str| Refusal::invalid(format!("Invalid filter string `{text}`: {what}"));
        let words = words(text).map_err(|what| wrong(&what))?;
        let mut words = words.into_iter().peekable();
        let mut conditions = Vec::new();
        while words.peek().is_some() {
            let field = match words.next() {
                Some(Word::Name(parts)) => Field::read::<T>(&parts)?,
                _ => return Err(wrong("a condition begins with a name")),
            };
            let test = Test::read(&mut words).map_err(wrong)?;
            field.fits::<T>(&test).map_err(wrong)?;
            conditions.push((field, test));
            match words.next() {
                None => break,
                Some(word) if word.is("and") && words.peek().is_some() => {}
                Some(_) => return Err(wrong("conditions are joined by AND, and by nothing else")),
            }
        }
        Ok(Self(conditions))
    }

    /// What must hold, one by one.
    pub(super) fn conditions(&self) -> &[(Field, Test)] {
        &self.0
    }

    /// Whether all conditions hold.
    pub(super) fn takes<T: Searched>(&self, item: &T) -> bool {
        self.0.iter().all(|(field, test)| {
            if let Some(cell) = item.cell(field) {
                test.holds(&cell)
            } else {
                *test == Test::Null(true)
                    || (*field == Field::Tag(PROMPT.to_owned())
                        && matches!(test, Test::Compare("!=", _)))
            }
        })
    }
}

impl Field {
    /// Reads a name over things of kind `T`.
    pub(super) fn read<T: Searched>(parts: &[String]) -> Result<Self, Refusal> {
        let (scope, key) = match parts {
            [key] => ("attributes", key.clone()),
            [scope, key @ ..] => (scope.as_str(), key.join(".")),
            [] => ("", String::new()),
        };
        match scope.to_ascii_lowercase().as_str() {
            "metric" | "metrics" if T::IS_MEASURED => Ok(Self::Metric(key)),
            "param" | "params" | "parameter" | "parameters" if T::IS_MEASURED => {
                Ok(Self::Param(key))
            }
            "tag" | "tags" => Ok(Self::Tag(key)),
            "attribute" | "attributes" | "attr" | "run"
                if T::ATTRIBUTES.contains(&key.as_str()) =>
            {
                Ok(Self::Attribute(key))
            }
            "attribute" | "attributes" | "attr" | "run" => Err(Refusal::invalid(format!(
                "Invalid attribute key `{key}`; there are: {}",
                T::ATTRIBUTES.join(", ")
            ))),
            other => Err(Refusal::invalid(format!(
                "Invalid entity type `{other}`; there are: {}tags, attributes",
                if T::IS_MEASURED {
                    "metrics, params, "
                } else {
                    ""
                }
            ))),
        }
    }

    /// Whether such a test can be made of it.
    fn fits<T: Searched>(&self, test: &Test) -> Result<(), &'static str> {
        let is_number = match self {
            Self::Metric(_) => true,
            Self::Param(_) | Self::Tag(_) => false,
            Self::Attribute(name) if T::EITHER.contains(&name.as_str()) => return Ok(()),
            Self::Attribute(name) => T::NUMBERS.contains(&name.as_str()),
        };
        match test {
            Test::Compare(_, Cell::Text(_)) if is_number => {
                Err("numbers are compared with numbers, which stand without quotes")
            }
            Test::Like { .. } | Test::In { .. } if is_number => {
                Err("numbers are compared by = != < <= > >=")
            }
            Test::Compare(_, Cell::Number(_)) if !is_number => {
                Err("texts are compared with texts in quotes")
            }
            Test::Compare(sign, _) if !is_number && !matches!(*sign, "=" | "!=") => {
                Err("texts are compared by = != LIKE ILIKE IN")
            }
            _ => Ok(()),
        }
    }
}

impl Test {
    fn read(words: &mut impl Iterator<Item = Word>) -> Result<Self, &'static str> {
        let mut next = || words.next().ok_or("it ends within a condition");
        let mut word = next()?;
        let not = word.is("not");
        if not {
            word = next()?;
        }
        if word.is("in") {
            return match next()? {
                Word::List(among) => Ok(Self::In { among, not }),
                _ => Err("IN takes texts in parentheses"),
            };
        }
        if not {
            return Err("after NOT comes IN");
        }
        if word.is("is") {
            let word = next()?;
            return match word.is("not") {
                true if next()?.is("null") => Ok(Self::Null(false)),
                false if word.is("null") => Ok(Self::Null(true)),
                _ => Err("after IS comes NULL or NOT NULL"),
            };
        }
        if word.is("like") || word.is("ilike") {
            let fold = word.is("ilike");
            return match next()? {
                Word::Literal(Cell::Text(pattern)) => Ok(Self::Like { pattern, fold }),
                _ => Err("LIKE takes a text in quotes"),
            };
        }
        match (word, next()?) {
            (Word::Sign(sign), Word::Literal(cell)) => Ok(Self::Compare(sign, cell)),
            (Word::Sign(_), _) => Err("a value is a number or a text in quotes"),
            _ => Err("it has no operator: = != < <= > >= LIKE ILIKE IN IS"),
        }
    }

    fn holds(&self, cell: &Cell) -> bool {
        match (self, cell) {
            (Self::Compare(sign, wanted), _) => compare(cell, sign, wanted),
            (Self::Like { pattern, fold }, Cell::Text(text)) => {
                let (pattern, text) = if *fold {
                    // As SQLite folds them.
                    (pattern.to_ascii_lowercase(), text.to_ascii_lowercase())
                } else {
                    (pattern.clone(), text.clone())
                };
                let pattern: Vec<char> = pattern.chars().collect();
                like(&pattern, &text.chars().collect::<Vec<_>>())
            }
            (Self::In { among, not }, Cell::Text(text)) => among.contains(text) != *not,
            (Self::Null(null), _) => !null,
            (Self::Like { .. } | Self::In { .. }, Cell::Number(_)) => false,
        }
    }
}

fn compare(cell: &Cell, sign: &str, wanted: &Cell) -> bool {
    // Versions are asked for as numbers and as texts.
    let number = match wanted {
        Cell::Number(number) => Some(*number),
        Cell::Text(text) => text.parse().ok(),
    };
    let order = match (cell, wanted) {
        (Cell::Number(own), _) => number.and_then(|number| own.partial_cmp(&number)),
        (Cell::Text(own), Cell::Text(wanted)) => Some(own.cmp(wanted)),
        (Cell::Text(_), Cell::Number(_)) => None,
    };
    match sign {
        "=" => order.is_some_and(Ordering::is_eq),
        "!=" => !order.is_some_and(Ordering::is_eq),
        "<" => order.is_some_and(Ordering::is_lt),
        "<=" => order.is_some_and(Ordering::is_le),
        ">" => order.is_some_and(Ordering::is_gt),
        _ => order.is_some_and(Ordering::is_ge),
    }
}

/// SQL's LIKE: `%` is any text, `_` any character. Linear but for the last `%`.
fn like(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('%') => {
                back = Some((at + 1, from));
                at += 1;
            }
            Some(&c) if c == '_' || c == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((after, tried)) = back else {
                    return false;
                };
                back = Some((after, tried + 1));
                (at, from) = (after, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Thing(&'static str, f64);

    impl Searched for Thing {
        const ATTRIBUTES: &'static [&'static str] = &["name"];
        const NUMBERS: &'static [&'static str] = &[];
        const IS_MEASURED: bool = true;

        fn cell(&self, field: &Field) -> Option<Cell> {
            match field {
                Field::Attribute(_) => Some(Cell::Text(self.0.to_owned())),
                Field::Metric(key) if key == "a b" => Some(Cell::Number(self.1)),
                Field::Tag(key) if key == "x.y" => Some(Cell::Text("It's".to_owned())),
                _ => None,
            }
        }
    }

    fn holds(filter: &str) -> bool {
        let filter = Filter::read::<Thing>(Some(filter)).unwrap();
        filter.takes(&Thing("Reddit-1", 0.5))
    }

    #[test]
    fn conditions_hold_or_do_not() {
        for good in [
            "",
            "name = 'Reddit-1'",
            "attributes.name LIKE 'Red%_1' and metrics.`a b` >= 5e-1",
            "name ILIKE \"reddit%\"",
            "metric.\"a b\" < 1 AND metrics.`a b` > -1 AND metrics.`a b` != .4",
            "name IN ('x', 'Reddit-1')",
            "name NOT IN ('x')",
            "tags.x.y = \"It's\" AND tag.`x.y` IS NOT NULL",
            "params.none IS NULL",
            "tag.`mlflow.prompt.is_prompt` != 'true'",
            "name LIKE 'Red%' AND tag.`mlflow.prompt.is_prompt` != 'true'",
        ] {
            assert!(holds(good), "{good}");
        }
        for bad in [
            "name = 'reddit-1'",
            "name LIKE 'red%'",
            "name LIKE '%x'",
            "metrics.none != 3",
            "tags.none != 'a'",
            "params.x = 'y' AND name = 'Reddit-1'",
            "tag.`mlflow.prompt.is_prompt` = 'true'",
        ] {
            assert!(!holds(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_in_words() {
        for (wrong, words) in [
            ("name = 'a' OR name = 'b'", "joined by AND"),
            ("name = 'a' AND", "joined by AND"),
            ("nmae = 'a'", "Invalid attribute key `nmae`"),
            ("metrix.a = 1", "Invalid entity type `metrix`"),
            ("name = 'a", "not closed"),
            ("name =", "ends within"),
            ("name ~ 'a'", "is not understood"),
            ("name IN 'a'", "parentheses"),
            ("name = name", "a value is a number or a text"),
            ("name = 1", "texts in quotes"),
            ("name > 'a'", "texts are compared by"),
            ("metrics.a = 'a'", "with numbers"),
            ("metrics.a LIKE 'a'", "numbers are compared by"),
        ] {
            let refused = Filter::read::<Thing>(Some(wrong)).unwrap_err();
            let told = format!("{refused:?}");
            assert!(told.contains(words), "{wrong}: {told}");
        }
    }
}
