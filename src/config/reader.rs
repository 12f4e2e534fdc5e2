//! From raw settings to values: each section asks for what it knows, the rest is refused.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{
    Entry, Origin, Problem,
    layers::{Layers, Raw},
    setting::Setting,
    suggest,
};

/// Hands out settings by name and remembers which there are.
#[derive(Debug)]
pub(super) struct Reader {
    layers: Layers,
    known: Vec<String>,
    entries: Vec<Entry>,
}

impl Reader {
    pub(super) const fn new(layers: Layers) -> Self {
        Self {
            layers,
            known: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The user's folder for caches, where the environment tells one.
    pub(super) fn cache(&self) -> Option<&Path> {
        self.layers.cache.as_deref()
    }

    /// The value of `section.key`, or the default.
    pub(super) fn get<T: Setting>(&mut self, key: &str, default: T) -> T {
        self.checked(key, default, |_| Ok(()))
    }

    /// The value of `section.key`, or the default; `check` says what is allowed instead.
    pub(super) fn checked<T: Setting>(
        &mut self,
        key: &str,
        default: T,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> T {
        self.known.push(key.to_owned());
        let (value, origin, seal) = match self.layers.values.remove(key) {
            None => (default, Origin::Default, None),
            Some((raw, origin)) => {
                let seal = T::SECRET.then(|| raw.hash());
                let read = read::<T>(&raw).ok_or_else(|| format!("write {}", T::FORM));
                let read = read.and_then(|value| check(&value).map(|()| value));
                match read {
                    Ok(value) => (value, origin, seal),
                    Err(hint) => {
                        self.refuse(key, (!T::SECRET).then_some(&raw), origin, hint);
                        return default;
                    }
                }
            }
        };
        self.entries.push(Entry {
            key: key.to_owned(),
            value: value.show(),
            origin,
            seal,
        });
        value
    }

    /// The values of `section.key.NAME`, by name, in addition to the defaults; also given as
    /// `NAME=value` with commas in between.
    pub(super) fn map<T: Setting>(
        &mut self,
        key: &str,
        defaults: impl IntoIterator<Item = (&'static str, T)>,
    ) -> BTreeMap<String, T> {
        let mut found: BTreeMap<String, (T, Origin)> = defaults
            .into_iter()
            .map(|(name, value)| (name.to_owned(), (value, Origin::Default)))
            .collect();
        if let Some((raw, origin)) = self.layers.values.remove(key) {
            if let Some(pairs) = pairs::<T>(&raw) {
                let with_origin = |(name, value)| (name, (value, origin.clone()));
                found.extend(pairs.into_iter().map(with_origin));
            } else {
                let hint = format!("write `NAME=VALUE,…`; a value is {}", T::FORM);
                self.refuse(key, Some(&raw), origin, hint);
            }
        }
        let prefix = format!("{key}.");
        let below: Vec<String> = self.layers.values.keys().cloned().collect();
        for full in below {
            let Some(name) = full.strip_prefix(&prefix) else {
                continue;
            };
            let Some((raw, origin)) = self.layers.values.remove(&full) else {
                continue;
            };
            match read::<T>(&raw) {
                Some(value) => {
                    found.insert(name.to_owned(), (value, origin));
                }
                None => self.refuse(&full, Some(&raw), origin, format!("write {}", T::FORM)),
            }
        }
        self.known.push(key.to_owned());
        for (name, (value, origin)) in &found {
            self.entries.push(Entry {
                key: format!("{prefix}{name}"),
                value: value.show(),
                origin: origin.clone(),
                seal: None,
            });
        }
        found
            .into_iter()
            .map(|(name, (value, _))| (name, value))
            .collect()
    }

    /// Every setting that there is, or everything that is wrong.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, Vec<Problem>> {
        for (key, (_, origin)) in std::mem::take(&mut self.layers.values) {
            let section = key.split_once('.').map(|(section, _)| section);
            let of_section = |known: &&String| {
                section.is_some_and(|section| known.split('.').next() == Some(section))
            };
            let mut allowed: Vec<&str> = self
                .known
                .iter()
                .filter(of_section)
                .map(String::as_str)
                .collect();
            let near = suggest::closest(&key, self.known.iter().map(String::as_str));
            if allowed.is_empty() {
                allowed = self
                    .known
                    .iter()
                    .filter_map(|known| known.split('.').next())
                    .collect();
                allowed.dedup();
            }
            let list = suggest::list(allowed);
            let hint = match near {
                Some(near) => format!("did you mean `{near}`? allowed: {list}"),
                None => format!("allowed: {list}"),
            };
            self.layers.problems.push(Problem {
                origin,
                message: format!("unknown setting `{key}`"),
                hint: Some(hint),
            });
        }
        if self.layers.problems.is_empty() {
            Ok(self.entries)
        } else {
            Err(self.layers.problems)
        }
    }

    /// Reports a wrong value; what a secret holds is not repeated.
    fn refuse(&mut self, key: &str, raw: Option<&Raw>, origin: Origin, hint: String) {
        let shown = match raw {
            Some(Raw::Text(text) | Raw::Typed(Value::String(text))) => format!("`{text}`"),
            Some(Raw::Typed(value)) => format!("`{value}`"),
            None => "this".to_owned(),
        };
        self.layers.problems.push(Problem {
            origin,
            message: format!("{shown} is no value for `{key}`"),
            hint: Some(hint),
        });
    }
}

fn read<T: Setting>(raw: &Raw) -> Option<T> {
    match raw {
        Raw::Typed(value) => T::from_value(value),
        Raw::Text(text) => T::from_text(text),
    }
}

fn pairs<T: Setting>(raw: &Raw) -> Option<Vec<(String, T)>> {
    let Raw::Text(text) = raw else {
        return None;
    };
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_owned(), T::from_text(value.trim())?))
        })
        .collect()
}
