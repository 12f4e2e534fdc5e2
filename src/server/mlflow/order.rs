//! `MLflow`'s orders: names, each rising or falling.

use std::cmp::Ordering;

use super::{
    filter::{Cell, Field, Searched},
    refusal::Refusal,
    words::{Word, words},
};

/// What a list is ordered by: fields, each rising or falling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order(Vec<(Field, bool)>);

impl Order {
    /// Reads `order_by`: a name, and `ASC` or `DESC` after it.
    pub(super) fn read<T: Searched>(texts: &[&str]) -> Result<Self, Refusal> {
        let read = |text: &&str| {
            let wrong = |what: &str| {
                Refusal::invalid(format!(
                    "Invalid order_by clause `{text}`: {what}; write NAME ASC or NAME DESC"
                ))
            };
            let mut words = words(text).map_err(|what| wrong(&what))?.into_iter();
            let field = match words.next() {
                Some(Word::Name(parts)) => Field::read::<T>(&parts)?,
                _ => return Err(wrong("it begins with a name")),
            };
            match (words.next(), words.next()) {
                (None, _) => Ok((field, true)),
                (Some(word), None) if word.is("asc") => Ok((field, true)),
                (Some(word), None) if word.is("desc") => Ok((field, false)),
                _ => Err(wrong("something else follows the name")),
            }
        };
        let keys: Vec<(Field, bool)> = texts.iter().map(read).collect::<Result<_, _>>()?;
        for (place, (field, _)) in keys.iter().enumerate() {
            if keys[..place].iter().any(|(known, _)| known == field) {
                let told = format!("`order_by` contains duplicate fields: {texts:?}");
                return Err(Refusal::invalid(told));
            }
        }
        Ok(Self(keys))
    }

    /// By what it is ordered, and whether rising.
    pub(super) fn keys(&self) -> &[(Field, bool)] {
        &self.0
    }

    /// The list in order; what has no such field comes last, before it what is no number, and what
    /// is equal stays as it stands.
    pub(super) fn sorted<T: Searched>(&self, items: Vec<T>) -> Vec<T> {
        let cells = |item: T| {
            let cells: Vec<_> = self.0.iter().map(|(field, _)| item.cell(field)).collect();
            (cells, item)
        };
        let mut keyed: Vec<_> = items.into_iter().map(cells).collect();
        keyed.sort_by(|(one, _), (other, _)| {
            let pairs = self.0.iter().zip(one.iter().zip(other));
            pairs.fold(Ordering::Equal, |so_far, ((_, rising), pair)| {
                so_far.then_with(|| match pair {
                    (Some(one), Some(other)) if is_known(one) && is_known(other) => {
                        let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
                        if *rising { order } else { order.reverse() }
                    }
                    (one, other) => rank(one.as_ref()).cmp(&rank(other.as_ref())),
                })
            })
        });
        keyed.into_iter().map(|(_, item)| item).collect()
    }
}

fn is_known(cell: &Cell) -> bool {
    !matches!(cell, Cell::Number(number) if number.is_nan())
}

/// Where a cell stands that cannot be compared.
fn rank(cell: Option<&Cell>) -> u8 {
    match cell {
        Some(cell) if is_known(cell) => 0,
        Some(_) => 1,
        None => 2,
    }
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
                Field::Metric(_) if self.0 != "none" => Some(Cell::Number(self.1)),
                _ => None,
            }
        }
    }

    #[test]
    fn lists_are_ordered() {
        let things = [
            ("b", 1.0),
            ("none", 0.0),
            ("x", f64::NAN),
            ("a", 2.0),
            ("c", 1.0),
        ];
        let things: Vec<_> = things.map(|(name, metric)| Thing(name, metric)).into();
        let names = |keys: &[&str]| {
            let order = Order::read::<Thing>(keys).unwrap();
            let sorted = order.sorted(things.clone());
            sorted.iter().map(|thing| thing.0).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&["metrics.m DESC", "name"]),
            ["a", "b", "c", "x", "none"]
        );
        assert_eq!(
            names(&["metrics.m ASC", "name DESC"]),
            ["c", "b", "a", "x", "none"]
        );
        for bad in [&["name UP"][..], &["name", "name DESC"], &[""]] {
            assert!(Order::read::<Thing>(bad).is_err(), "{bad:?}");
        }
    }
}
