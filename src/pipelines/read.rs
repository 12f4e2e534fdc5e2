//! From a parsed file to a [`Definition`], with everything that is wrong on the way.

use std::path::Path;

use super::{
    Definition, Param, ParamKind, Policy, Profile, Reference, Task,
    fault::{Fault, Faults},
    params,
};
use crate::{
    config::{
        document::{Data, Document, Entry, Item, find},
        suggest,
    },
    dag::{ExecutorKind, TriggerRule},
    expression::Kind,
};

const KEYS: [&str; 9] = [
    "name",
    "description",
    "profile",
    "schedule",
    "params",
    "profiles",
    "defaults",
    "fields",
    "task",
];

/// Reads a pipeline file's text: as much as can be read, and everything that is wrong.
pub(super) fn read(path: &Path, text: &str) -> (Definition, Vec<Fault>) {
    let (document, syntax) = Document::parse(text);
    let mut reader = Reader {
        faults: Faults::new(path, &document),
    };
    let mut definition = reader.definition(path, &document);
    if !syntax.is_empty() {
        // What seems to lack in a file that is no TOML is no news: it was not read to its end.
        reader.faults = Faults::new(path, &document);
        definition.tasks.clear();
    }
    for fault in syntax {
        reader.faults.add(fault.offset, fault.message, None);
    }
    let faults = reader.faults.finish();
    definition.document = document;
    (definition, faults)
}

/// Reads the parts of a file; [`values`](super::values) holds how it reads single values.
pub(super) struct Reader<'a> {
    pub(super) faults: Faults<'a>,
}

impl Reader<'_> {
    fn definition(&mut self, path: &Path, document: &Document) -> Definition {
        let root = document.root.as_slice();
        self.known_keys(root, &KEYS, "");
        let name = find(root, "name").and_then(|entry| self.name(&entry.value));
        if find(root, "name").is_none() {
            self.faults.add(
                0,
                "the pipeline has no name",
                Some("write `name = \"…\"`".to_owned()),
            );
        }
        let profiles: Vec<Profile> = self
            .tables(root, "profiles")
            .filter_map(|(entry, table)| self.profile(entry, table))
            .collect();
        let params = self.params(root);
        Definition {
            path: path.to_owned(),
            document: Document::default(),
            name: name.unwrap_or_default(),
            description: find(root, "description").and_then(|entry| self.text(&entry.value)),
            schedules: self.schedules(root, &params),
            params,
            profile: self.default_profile(root, &profiles),
            switched: None,
            profiles,
            fields: self.fields(root),
            defaults: match self.table(root, "defaults") {
                Some((_, table)) => {
                    let known: Vec<&str> = Policy::KEYS
                        .into_iter()
                        .chain(["max_run_crashes"])
                        .collect();
                    self.known_keys(table, &known, " in `[defaults]`");
                    self.policy(table)
                }
                None => Policy::default(),
            },
            max_run_crashes: self
                .table(root, "defaults")
                .and_then(|(_, table)| find(table, "max_run_crashes"))
                .and_then(|entry| self.count(&entry.value)),
            tasks: self.tasks(root),
        }
    }

    fn tasks(&mut self, root: &[Entry]) -> Vec<Task> {
        let Some(entry) = find(root, "task") else {
            self.faults.add(
                0,
                "the pipeline has no tasks",
                Some("write `[[task]]` with an `id` and an `op`".to_owned()),
            );
            return Vec::new();
        };
        let Data::List(items) = &entry.value.data else {
            let message = format!("`task` is {}, not a list of tables", entry.value.kind());
            let hint = "write `[[task]]`".to_owned();
            self.faults.add(entry.key_span.start, message, Some(hint));
            return Vec::new();
        };
        items.iter().filter_map(|item| self.task(item)).collect()
    }

    fn task(&mut self, item: &Item) -> Option<Task> {
        let Data::Table(table) = &item.data else {
            let message = format!("a task is a table, not {}", item.kind());
            self.faults.add(item.span.start, message, None);
            return None;
        };
        let required = |reader: &mut Self, key: &str| {
            let Some(entry) = find(table, key) else {
                let message = format!("a task without `{key}`");
                reader.faults.add(item.span.start, message, None);
                return None;
            };
            let name = reader.name(&entry.value)?;
            let span = entry.value.span.clone();
            Some(Reference { name, span })
        };
        let (id, op) = (required(self, "id"), required(self, "op"));
        let after = find(table, "after").map_or_else(Vec::new, |entry| self.after(&entry.value));
        let policy = self.policy(table);
        let mut flag =
            |key: &str| find(table, key).and_then(|entry| Some((entry, self.flag(&entry.value)?)));
        let setup = flag("setup").is_some_and(|(_, set)| set);
        let teardown = flag("teardown").is_some_and(|(_, set)| set);
        let fails_run = flag("fails_run");
        if let Some((entry, _)) = fails_run
            && !teardown
        {
            let hint = "every other task fails the run anyway; remove it".to_owned();
            self.faults.add(
                entry.key_span.start,
                "`fails_run` is for tasks with `teardown = true`",
                Some(hint),
            );
        }
        let clause = |reader: &mut Self, key: &str| {
            let entry = find(table, key)?;
            let name = match &entry.value.data {
                // A number is as good as an expression.
                Data::Integer(count) if key == "map" => count.to_string(),
                _ => reader.text(&entry.value)?,
            };
            let span = entry.value.span.clone();
            Some(Reference { name, span })
        };
        let (when, map) = (clause(self, "when"), clause(self, "map"));
        let max_active = find(table, "max_active").and_then(|entry| {
            if map.is_none() {
                let hint = "it limits the shards of a task with `map`; for others use a `pool`";
                self.faults.add(
                    entry.key_span.start,
                    "`max_active` without `map`",
                    Some(hint.to_owned()),
                );
            }
            self.count(&entry.value)
        });
        let settings = table
            .iter()
            .filter(|entry| {
                !Task::KEYS.contains(&entry.key.as_str())
                    && !Policy::KEYS.contains(&entry.key.as_str())
            })
            .cloned()
            .collect();
        Some(Task {
            id: id?,
            op: op?,
            after,
            policy,
            setup,
            teardown,
            fails_run: fails_run.is_some_and(|(_, set)| set),
            when,
            map,
            max_active,
            settings,
        })
    }

    fn after(&mut self, item: &Item) -> Vec<Reference> {
        let Data::List(items) = &item.data else {
            let message = format!("`after` is {}, not a list of task ids", item.kind());
            let hint = "write `after = [\"…\"]`".to_owned();
            self.faults.add(item.span.start, message, Some(hint));
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| {
                let name = self.text(item)?;
                let span = item.span.clone();
                Some(Reference { name, span })
            })
            .collect()
    }

    fn policy(&mut self, table: &[Entry]) -> Policy {
        let value = |key: &str| find(table, key).map(|entry| &entry.value);
        Policy {
            retries: value("retries").and_then(|item| self.count(item)),
            retry_delay: value("retry_delay").and_then(|item| self.duration(item)),
            max_retry_delay: value("max_retry_delay").and_then(|item| self.duration(item)),
            crash_retries: value("crash_retries").and_then(|item| self.count(item)),
            timeout: value("timeout").and_then(|item| self.duration(item)),
            pool: value("pool").and_then(|item| self.name(item)),
            trigger: value("trigger").and_then(|item| {
                let names = TriggerRule::ALL.map(TriggerRule::name);
                let position = self.choice(item, "trigger", &names)?;
                Some(TriggerRule::ALL[position])
            }),
            priority: value("priority").and_then(|item| self.integer(item)),
            executor: value("executor").and_then(|item| {
                let names = ExecutorKind::ALL.map(ExecutorKind::name);
                let position = self.choice(item, "executor", &names)?;
                Some(ExecutorKind::ALL[position])
            }),
            retry_backoff: value("retry_backoff").and_then(|item| self.number(item, 1.0, 100.0)),
            retry_jitter: value("retry_jitter").and_then(|item| self.number(item, 0.0, 1.0)),
            retry_rules: value("retry_rules").map(|item| self.retry_rules(item)),
            stall_timeout: value("stall_timeout").and_then(|item| self.duration(item)),
            memory: value("memory").and_then(|item| self.size(item)),
        }
    }

    fn profile(&mut self, entry: &Entry, table: &[Entry]) -> Option<Profile> {
        let name = &entry.key;
        self.known_keys(table, &Profile::KEYS, &format!(" in profile `{name}`"));
        let mut encoder = |key: &str| {
            let Some(found) = find(table, key) else {
                let message = format!("profile `{name}` lacks `{key}`");
                let hint = format!("write `{key} = \"none\"` to do without");
                self.faults.add(entry.key_span.start, message, Some(hint));
                return None;
            };
            self.text(&found.value)
        };
        let (text, image) = (encoder("text"), encoder("image"));
        let (caption, visual) = (encoder("caption"), encoder("visual"));
        Some(Profile {
            name: name.clone(),
            text: text?,
            image: image?,
            caption: caption?,
            visual: visual?,
        })
    }

    fn default_profile(&mut self, root: &[Entry], profiles: &[Profile]) -> Option<String> {
        let names = || profiles.iter().map(|profile| profile.name.as_str());
        if let Some(entry) = find(root, "profile") {
            let name = self.text(&entry.value)?;
            // One that is there and not complete has been told of.
            let is_there = names().any(|known| known == name)
                || matches!(find(root, "profiles").map(|all| &all.value.data),
                    Some(Data::Table(all)) if find(all, &name).is_some());
            if !is_there {
                let message = format!("unknown profile `{name}`");
                let hint = suggest::hint(&name, names());
                self.faults.add(entry.value.span.start, message, Some(hint));
            }
            return Some(name);
        }
        match profiles {
            [] => None,
            [only] => Some(only.name.clone()),
            _ if names().any(|name| name == "cpu") => Some("cpu".to_owned()),
            [first, ..] => {
                let hint = format!("write `profile = \"{}\"` at the top", first.name);
                let offset = find(root, "profiles").map_or(0, |entry| entry.key_span.start);
                let message = "no profile is the default";
                self.faults.add(offset, message, Some(hint));
                None
            }
        }
    }

    fn fields(&mut self, root: &[Entry]) -> Vec<(String, Kind)> {
        let Some((_, table)) = self.table(root, "fields") else {
            return Vec::new();
        };
        table
            .iter()
            .filter_map(|entry| {
                let names = Kind::ALL.map(Kind::name);
                let position = self.choice(&entry.value, &entry.key, &names)?;
                Some((entry.key.clone(), Kind::ALL[position]))
            })
            .collect()
    }

    fn params(&mut self, root: &[Entry]) -> Vec<Param> {
        let Some((_, table)) = self.table(root, "params") else {
            return Vec::new();
        };
        table.iter().filter_map(|entry| self.param(entry)).collect()
    }

    fn param(&mut self, entry: &Entry) -> Option<Param> {
        let name = &entry.key;
        let Data::Table(table) = &entry.value.data else {
            return Some(Param {
                name: name.clone(),
                kind: ParamKind::of(&entry.value.to_json())?,
                default: entry.value.to_json(),
                choices: Vec::new(),
                description: None,
                offset: entry.value.span.start,
            });
        };
        self.known_keys(
            table,
            &["default", "type", "choices", "description"],
            &format!(" in parameter `{name}`"),
        );
        let Some(default) = find(table, "default") else {
            let message = format!("parameter `{name}` has no `default`");
            self.faults.add(entry.key_span.start, message, None);
            return None;
        };
        let value = default.value.to_json();
        let kind = match find(table, "type") {
            Some(named) => {
                let names = ParamKind::ALL.map(ParamKind::name);
                ParamKind::ALL[self.choice(&named.value, "type", &names)?]
            }
            None => ParamKind::of(&value)?,
        };
        let choices = match find(table, "choices").map(|entry| &entry.value.data) {
            Some(Data::List(items)) => items.iter().map(Item::to_json).collect(),
            _ => Vec::new(),
        };
        let allowed = choices.is_empty() || choices.contains(&value);
        if !kind.allows(&value) || !allowed {
            let message = format!(
                "`{}` is no value for parameter `{name}`",
                params::shown(&value)
            );
            let hint = if allowed {
                format!("write {}", kind.form())
            } else {
                "the default must be one of the `choices`".to_owned()
            };
            self.faults
                .add(default.value.span.start, message, Some(hint));
        }
        Some(Param {
            name: name.clone(),
            kind,
            default: value,
            choices,
            description: find(table, "description").and_then(|entry| self.text(&entry.value)),
            offset: default.value.span.start,
        })
    }
}
