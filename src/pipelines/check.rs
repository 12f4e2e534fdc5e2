//! Everything that can be known to be wrong with pipelines before they run.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
};

use serde_json::Value;

use super::{
    Definition, Error, Fault, RunArguments, Task,
    compile::{Report, Scope, context, graph_offset, names_item, nodes, within},
    fault::Faults,
    load::{PipelineFile, load_all},
    params,
};
use crate::{
    clock::Timestamp,
    config::{
        document::{Data, Entry, Item, find},
        suggest,
    },
    dag::{Graph, GraphError, Node},
    engine::{Catalogue, Interval},
    expression::{Expression, Kind, reading_fields, record_fields},
};

/// Settings that hold an expression over records; an empty text stands for none.
const EXPRESSIONS: [&str; 3] = ["keep", "target", "order"];

/// Where something is wrong.
#[derive(Clone, Debug)]
pub(super) enum Site {
    /// At this byte of the file.
    File(usize),
    /// In the value that was given for this parameter.
    Argument(String),
}

/// Checks pipeline files.
///
/// Keys, names, types and durations; operators and their settings, with the parameters' defaults
/// and each profile; templates and expressions; unknown upstream names and cycles; references to
/// tasks that are not upstream; names that two files share.
///
/// # Errors
///
/// Where a file cannot be read at all.
pub fn check(files: &[PipelineFile], catalogue: &Catalogue) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    let mut seen: BTreeMap<String, &Path> = BTreeMap::new();
    for file in files {
        let shown = &file.shown;
        let (definition, mut found) = load_all(file)?;
        found.extend(check_definition(&definition, catalogue));
        found.sort();
        found.dedup();
        faults.append(&mut found);
        if definition.name.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(definition.name.clone(), shown) {
            let offset = find(&definition.document.root, "name").map_or(0, |e| e.value.span.start);
            let (line, column) = definition.document.locate(offset);
            faults.push(Fault {
                file: shown.clone(),
                line,
                column,
                message: format!(
                    "`{}` has the name `{}` too",
                    first.display(),
                    definition.name
                ),
                hint: Some("names of pipelines must differ".to_owned()),
            });
        }
    }
    Ok(faults)
}

/// Checks a definition that has been read, with the parameters' defaults and each profile.
pub(super) fn check_definition(definition: &Definition, catalogue: &Catalogue) -> Vec<Fault> {
    let mut faults = Faults::new(&definition.path, &definition.document);
    let sound = check_names(definition, &mut faults);
    let (params, given) = params::resolve(definition, &[]).unwrap_or_default();
    let profiles: Vec<_> = match definition.profiles.as_slice() {
        [] => vec![None],
        several => several.iter().map(Some).collect(),
    };
    for profile in profiles {
        let context = context(definition, &params, profile, &sample_run(), &given);
        let scope = Scope {
            context,
            given: &given,
        };
        let mut report = |site: Site, message: String, hint: Option<String>| match site {
            Site::File(offset) => faults.add(offset, message, hint),
            Site::Argument(_) => {}
        };
        let nodes = nodes(definition, &scope, &mut report);
        check_settings(definition, &nodes, &scope, catalogue, &mut report);
        if sound && let Err(error) = Graph::new(nodes) {
            let hint = matches!(error, GraphError::Cycle(_))
                .then(|| "take one of these names out of `after`".to_owned());
            faults.add(graph_offset(definition, &error), error.to_string(), hint);
        }
    }
    faults.finish()
}

/// Checks that ids differ and that every upstream name is one; whether it is so.
fn check_names(definition: &Definition, faults: &mut Faults<'_>) -> bool {
    let ids: HashSet<&str> = definition
        .tasks
        .iter()
        .map(|t| t.id.name.as_str())
        .collect();
    let mut sound = true;
    let mut seen = BTreeSet::new();
    for task in &definition.tasks {
        if !seen.insert(&task.id.name) {
            sound = false;
            let error = GraphError::Duplicate(task.id.name.clone());
            faults.add(task.id.span.start, error.to_string(), None);
        }
        for upstream in &task.after {
            if !ids.contains(upstream.name.as_str()) {
                sound = false;
                let error = GraphError::UnknownUpstream {
                    task: task.id.name.clone(),
                    upstream: upstream.name.clone(),
                };
                let names = definition.tasks.iter().map(|known| known.id.name.as_str());
                let others = names.filter(|&id| id != task.id.name);
                let hint = suggest::hint(&upstream.name, others);
                faults.add(upstream.span.start, error.to_string(), Some(hint));
            }
        }
    }
    sound
}

/// Checks operators, their settings, the expressions in them and the tasks that they name.
pub(super) fn check_settings(
    definition: &Definition,
    nodes: &[Node],
    scope: &Scope<'_>,
    catalogue: &Catalogue,
    report: &mut Report<'_>,
) {
    let further = || {
        definition
            .fields
            .iter()
            .map(|(name, kind)| (name.as_str(), *kind))
    };
    let of_record = record_fields(further());
    let of_reading = reading_fields(further());
    let tasks: HashMap<&str, &Task> = definition
        .tasks
        .iter()
        .map(|task| (task.id.name.as_str(), task))
        .collect();
    for (task, node) in definition.tasks.iter().zip(nodes) {
        let checker = Checker {
            definition,
            task,
            node,
            scope,
        };
        let mut wrong = Vec::new();
        for key in EXPRESSIONS {
            // Only a target sees the reading that is the label.
            let fields = if key == "target" {
                &of_reading
            } else {
                &of_record
            };
            if !checker.expression(key, fields, report) {
                wrong.push(key);
            }
        }
        if task.map.is_none() || !task.settings.iter().any(|entry| names_item(&entry.value)) {
            checker.operator(catalogue, &wrong, report);
        }
        checker.conditions(&tasks, report);
        checker.references(&tasks, report);
    }
}

pub(super) struct Checker<'a> {
    pub(super) definition: &'a Definition,
    pub(super) task: &'a Task,
    node: &'a Node,
    pub(super) scope: &'a Scope<'a>,
}

impl Checker<'_> {
    /// Checks the settings by the operator; what it says of the settings `known` to be wrong has
    /// been said better.
    fn operator(&self, catalogue: &Catalogue, known: &[&str], report: &mut Report<'_>) {
        let op = &self.task.op;
        let Some(operator) = catalogue.get(&op.name) else {
            let message = format!("unknown operator `{}`", op.name);
            let hint = suggest::hint(&op.name, catalogue.names());
            return report(Site::File(op.span.start), message, Some(hint));
        };
        let Err(error) = operator.check(&self.node.settings) else {
            return;
        };
        if error
            .key
            .as_ref()
            .is_some_and(|key| known.contains(&key.as_str()))
        {
            return;
        }
        let mut hint = error.hint;
        let site = match &error.key {
            None => Site::File(op.span.start),
            Some(key) => match find_path(&self.task.settings, key) {
                None => Site::File(op.span.start),
                Some(entry) => {
                    let near =
                        suggest::closest(key, super::Policy::KEYS.into_iter().chain(Task::KEYS));
                    if let Some(near) = near
                        && find(&self.task.settings, key).is_some()
                        && hint
                            .as_ref()
                            .is_none_or(|hint| !hint.contains("did you mean"))
                    {
                        hint = Some(format!("did you mean `{near}`?"));
                    }
                    self.site(&entry.value, entry.key_span.start, None)
                }
            },
        };
        report(site, error.message, hint);
    }

    /// Checks the expression under a key, where there is one; whether it is right.
    fn expression(
        &self,
        key: &str,
        fields: &BTreeMap<String, Kind>,
        report: &mut Report<'_>,
    ) -> bool {
        let Some(entry) = find(&self.task.settings, key) else {
            return true;
        };
        let Some(Value::String(text)) = self.node.settings.get(key) else {
            return true; // The operator says what it wants instead of a text.
        };
        let checked = match text.as_str() {
            "" => Ok(()),
            text => Expression::compile(text).and_then(|found| found.check(fields)),
        };
        let Err(error) = checked else {
            return true;
        };
        let item = &entry.value;
        let site = self.site(item, item.span.start, Some((text, error.position.offset)));
        let message = match &site {
            Site::File(_) => error.message.clone(),
            Site::Argument(_) => error.to_string(),
        };
        let hint = error.hint.map(|hint| {
            if error.message.starts_with("unknown name") {
                format!("{hint}; declare further ones in `[fields]`")
            } else {
                hint
            }
        });
        report(site, message, hint);
        false
    }

    /// Settings that name tasks: `from`, and every value in a table `blocks`, name those above;
    /// `share` names those below.
    fn references(&self, tasks: &HashMap<&str, &Task>, report: &mut Report<'_>) {
        let mut named: Vec<(&Item, &Value)> = Vec::new();
        if let (Some(entry), Some(value)) = (
            find(&self.task.settings, "from"),
            self.node.settings.get("from"),
        ) {
            named.push((&entry.value, value));
        }
        if let Some(entry) = find(&self.task.settings, "blocks")
            && let Data::Table(blocks) = &entry.value.data
        {
            for block in blocks {
                let value = &self.node.settings["blocks"][block.key.as_str()];
                named.push((&block.value, value));
            }
        }
        let id = self.task.id.name.as_str();
        self.below(tasks, report);
        if named.is_empty() {
            return;
        }
        let above = ancestors(tasks, id);
        for (item, value) in named {
            let Value::String(name) = value else {
                continue;
            };
            if above.contains(name.as_str()) {
                continue;
            }
            let known = tasks.contains_key(name.as_str());
            let message = if known {
                format!("`{name}` is not upstream of `{id}`")
            } else {
                format!("`{name}` is no task of this pipeline")
            };
            let hint = if known && name != id && !ancestors(tasks, name).contains(id) {
                format!("add `{name}` to `after`")
            } else {
                suggest::hint(name, above.iter().copied())
            };
            report(self.site(item, item.span.start, None), message, Some(hint));
        }
    }

    /// The tasks of the list `share`, each of which must come after this one.
    fn below(&self, tasks: &HashMap<&str, &Task>, report: &mut Report<'_>) {
        let Some(entry) = find(&self.task.settings, "share") else {
            return;
        };
        let Data::List(items) = &entry.value.data else {
            return;
        };
        let id = self.task.id.name.as_str();
        for item in items {
            let Some(name) = item.as_text() else { continue };
            let message = if !tasks.contains_key(name) {
                format!("`{name}` is no task of this pipeline")
            } else if !ancestors(tasks, name).contains(id) {
                format!("`{name}` is not downstream of `{id}`")
            } else {
                continue;
            };
            let below = tasks
                .keys()
                .copied()
                .filter(|task| ancestors(tasks, task).contains(id));
            let hint = suggest::hint(name, below);
            report(self.site(item, item.span.start, None), message, Some(hint));
        }
    }

    /// Where the value of a setting comes from: the file, the default of a parameter, or what
    /// was given for one. `inner` is a text and a byte of it.
    fn site(&self, item: &Item, offset: usize, inner: Option<(&str, usize)>) -> Site {
        let raw = item.as_text().unwrap_or_default();
        if let Some(name) = lone_param(raw) {
            if self.scope.given.iter().any(|given| given == name) {
                return Site::Argument(name.to_owned());
            }
            let params = &self.definition.params;
            if let Some(param) = params.iter().find(|param| param.name == name) {
                let source = &self.definition.document.text[param.offset..];
                let quoted = inner.and_then(|(text, at)| Some(source.find(text)? + at));
                // A text that is written with escapes is found elsewhere, or nowhere.
                return Site::File(param.offset + quoted.filter(|&at| at < 1000).unwrap_or(0));
            }
        }
        match inner {
            Some((text, at)) if text == raw => Site::File(within(self.definition, item, at)),
            _ => Site::File(offset),
        }
    }
}

/// The parameter's name in `{{ params.NAME }}`.
fn lone_param(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = inner.strip_prefix("params.")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain).then_some(name)
}

/// The entry at a dotted path; the deepest one that there is.
fn find_path<'a>(table: &'a [Entry], path: &str) -> Option<&'a Entry> {
    if let Some(entry) = find(table, path) {
        return Some(entry);
    }
    let (first, rest) = path.split_once('.')?;
    let entry = find(table, first)?;
    match &entry.value.data {
        Data::Table(inner) => find_path(inner, rest).or(Some(entry)),
        _ => Some(entry),
    }
}

/// Every task upstream of one, direct or not; cycles and unknown names do no harm.
pub(super) fn ancestors<'a>(tasks: &HashMap<&'a str, &'a Task>, id: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Task> = tasks.get(id).copied().into_iter().collect();
    while let Some(task) = open.pop() {
        for upstream in &task.after {
            if let Some((&name, &above)) = tasks.get_key_value(upstream.name.as_str())
                && seen.insert(name)
            {
                open.push(above);
            }
        }
    }
    seen
}

/// A run for checks that have none.
fn sample_run() -> RunArguments {
    let day = |day: i64| Timestamp::from_millis((20_454 + day) * 86_400_000);
    RunArguments {
        params: Vec::new(),
        profile: None,
        source: None,
        scheduled_for: day(1),
        interval: Interval {
            start: day(0),
            end: day(1),
        },
        as_of: day(1),
    }
}
