//! From a definition and the arguments of a run to a graph without templates.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Definition, Error, Profile, Reference, Task,
    check::{Site, check_settings},
    fault::Faults,
    params,
};
use crate::{
    clock::Timestamp,
    config::{
        document::{Data, Item, to_map},
        suggest,
    },
    dag::{Graph, GraphError, Mapping, Node, RetryPolicy, TriggerRule},
    engine::{Catalogue, Interval},
    expression::{self, Kind},
};

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub struct RunArguments {
    /// What `--param` gave, in order; a later value replaces an earlier one.
    pub params: Vec<(String, String)>,
    /// The profile; `None` for the pipeline's default.
    pub profile: Option<String>,
    /// What `--source` gave: the parameter `source`.
    pub source: Option<String>,
    /// The moment that the run stands for.
    pub scheduled_for: Timestamp,
    /// The run's data interval.
    pub interval: Interval,
    /// The moment whose knowledge the run may use.
    pub as_of: Timestamp,
}

/// A pipeline that is ready to run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The pipeline's name.
    pub pipeline: String,
    /// The tasks, their settings rendered.
    pub graph: Graph,
    /// The value of every parameter.
    pub params: Map<String, Value>,
    /// The names of the parameters that were given, `--source` included.
    pub given: Vec<String>,
    /// The profile's name; `None` where the pipeline has no profiles.
    pub profile: Option<String>,
    /// The names and types that expressions may use.
    pub fields: Vec<(String, Kind)>,
    /// The SHA-256 of the file's text, in hexadecimal.
    pub hash: String,
    /// The file's text: the run's snapshot of its definition.
    pub text: String,
}

/// Renders every template and checks every setting.
///
/// Templates see `params`, `profile` (with its `name`), `pipeline` (its name) and `run`:
/// `scheduled_for`, `interval_start`, `interval_end`, `as_of` (RFC 3339), `date` (that of the
/// interval's start) and `given` (the names of the parameters that were given).
///
/// # Errors
///
/// [`Error::Argument`] where a parameter, the source or the profile is wrong; [`Error::Faulty`]
/// where the file is.
pub fn compile(
    definition: &Definition,
    arguments: &RunArguments,
    catalogue: &Catalogue,
) -> Result<Compiled, Error> {
    let mut given = arguments.params.clone();
    if let Some(source) = &arguments.source {
        if !definition.params.iter().any(|param| param.name == "source") {
            return Err(Error::Argument {
                message: format!(
                    "pipeline `{}` takes no source: it has no parameter `source`",
                    definition.name
                ),
                hint: None,
            });
        }
        given.push(("source".to_owned(), source.clone()));
    }
    let (params, given) = params::resolve(definition, &given)?;
    let profile = profile(definition, arguments.profile.as_deref())?;
    let scope = Scope {
        context: context(definition, &params, profile, arguments, &given),
        given: &given,
    };
    let mut faults = Faults::new(&definition.path, &definition.document);
    let mut wrong_arguments = Vec::new();
    let mut nodes = nodes(definition, &scope, &mut |site, message, hint| match site {
        Site::File(offset) => faults.add(offset, message, hint),
        Site::Argument(name) => wrong_arguments.push((name, message, hint)),
    });
    check_settings(
        definition,
        &nodes,
        &scope,
        catalogue,
        &mut |site, message, hint| match site {
            Site::File(offset) => faults.add(offset, message, hint),
            Site::Argument(name) => wrong_arguments.push((name, message, hint)),
        },
    );
    if let Some((name, message, hint)) = wrong_arguments.into_iter().next() {
        let message = format!("parameter `{name}`: {message}");
        return Err(Error::Argument { message, hint });
    }
    if !faults.is_empty() {
        return Err(Error::Faulty(faults.finish()));
    }
    for node in &mut nodes {
        // The samples were for the checks; shards get values of their own.
        if let Some(map) = &node.map {
            node.settings.extend(map.templates.clone());
        }
    }
    let graph = Graph::new(nodes).map_err(|error| {
        let offset = graph_offset(definition, &error);
        faults.add(offset, error.to_string(), None);
        Error::Faulty(faults.finish())
    })?;
    Ok(Compiled {
        pipeline: definition.name.clone(),
        graph,
        params,
        given,
        profile: profile.map(|profile| profile.name.clone()),
        fields: definition.fields.clone(),
        hash: hash(&definition.document.text),
        text: definition.document.text.clone(),
    })
}

/// The graph of a definition as it stands, its templates not rendered: for drawings.
///
/// # Errors
///
/// Doubled ids, unknown upstream names and cycles, with their place.
pub fn outline(definition: &Definition) -> Result<Graph, Error> {
    let nodes = definition.tasks.iter().map(|task| {
        let settings = to_map(&task.settings);
        outlined(definition, task, settings)
    });
    Graph::new(nodes.collect()).map_err(|error| {
        let mut faults = Faults::new(&definition.path, &definition.document);
        faults.add(graph_offset(definition, &error), error.to_string(), None);
        Error::Faulty(faults.finish())
    })
}

/// What templates see, and which parameters were given.
pub(super) struct Scope<'a> {
    pub(super) context: Value,
    pub(super) given: &'a [String],
}

/// What reports a fault: its place, what is wrong, what is allowed.
pub(super) type Report<'a> = dyn FnMut(Site, String, Option<String>) + 'a;

pub(super) fn context(
    definition: &Definition,
    params: &Map<String, Value>,
    profile: Option<&Profile>,
    run: &RunArguments,
    given: &[String],
) -> Value {
    json!({
        "params": params,
        "profile": profile.map_or_else(Map::new, Profile::to_map),
        "pipeline": definition.name,
        "run": {
            "scheduled_for": run.scheduled_for,
            "interval_start": run.interval.start,
            "interval_end": run.interval.end,
            "as_of": run.as_of,
            "date": run.interval.start.date().to_string(),
            "given": given,
        },
    })
}

fn profile<'a>(
    definition: &'a Definition,
    asked: Option<&str>,
) -> Result<Option<&'a Profile>, Error> {
    let Some(name) = asked.or(definition.profile.as_deref()) else {
        return Ok(None);
    };
    let found = definition.profiles.iter().find(|known| known.name == name);
    found.map(Some).ok_or_else(|| {
        let known = definition.profiles.iter().map(|known| known.name.as_str());
        let (pipeline, hint) = (&definition.name, suggest::hint(name, known));
        match (asked, &definition.switched) {
            (None, Some(_)) => Error::Argument {
                message: format!(
                    "pipeline `{pipeline}` was switched to profile `{name}`, which its file does \
                     not have"
                ),
                hint: Some(format!(
                    "`trendmill pipelines switch {pipeline} --clear` returns to its file; {hint}"
                )),
            },
            _ => Error::Argument {
                message: format!("pipeline `{pipeline}` has no profile `{name}`"),
                hint: Some(hint),
            },
        }
    })
}

/// The tasks as nodes, every template rendered; one that cannot be is reported and left as it is.
pub(super) fn nodes(
    definition: &Definition,
    scope: &Scope<'_>,
    report: &mut Report<'_>,
) -> Vec<Node> {
    definition
        .tasks
        .iter()
        .map(|task| node(definition, task, scope, report))
        .collect()
}

fn node(definition: &Definition, task: &Task, scope: &Scope<'_>, report: &mut Report<'_>) -> Node {
    let Some(map) = &task.map else {
        let settings = task.settings.iter().map(|entry| {
            let value = rendered(definition, &entry.value, scope, report);
            (entry.key.clone(), value)
        });
        return outlined(definition, task, settings.collect());
    };
    let sample = with_sample_shard(scope);
    let mut templates = Map::new();
    let mut settings = Map::new();
    for entry in &task.settings {
        let of_shard = names_shard(&entry.value);
        if of_shard {
            templates.insert(entry.key.clone(), entry.value.to_json());
        }
        // What an item is, is only known when the run has come so far.
        let value = if of_shard && names_item(&entry.value) {
            entry.value.to_json()
        } else if of_shard {
            rendered(definition, &entry.value, &sample, report)
        } else {
            rendered(definition, &entry.value, scope, report)
        };
        settings.insert(entry.key.clone(), value);
    }
    let mapping = Mapping {
        expression: map.name.clone(),
        max_active: task.max_active,
        scope: if templates.is_empty() {
            Value::Null
        } else {
            scope.context.clone()
        },
        templates,
        shards: None,
    };
    Node {
        map: Some(mapping),
        ..outlined(definition, task, settings)
    }
}

/// What templates of a mapped task see, with the first shard of one.
fn with_sample_shard<'a>(scope: &Scope<'a>) -> Scope<'a> {
    let mut context = scope.context.clone();
    if let Value::Object(names) = &mut context {
        let shard = json!({"index": 0, "count": 1, "item": null});
        names.insert("shard".to_owned(), shard);
    }
    Scope {
        context,
        given: scope.given,
    }
}

/// Whether a template in a setting names the shard.
fn names_shard(item: &Item) -> bool {
    any_text(item, &|text| expression::uses(text, "shard"))
}

/// Whether a template in a setting names the shard's item.
pub(super) fn names_item(item: &Item) -> bool {
    any_text(item, &|text| expression::uses(text, "shard.item"))
}

fn any_text(item: &Item, holds: &impl Fn(&str) -> bool) -> bool {
    match &item.data {
        Data::Text(text) => holds(text),
        Data::List(items) => items.iter().any(|item| any_text(item, holds)),
        Data::Table(entries) => entries.iter().any(|entry| any_text(&entry.value, holds)),
        _ => false,
    }
}

fn outlined(definition: &Definition, task: &Task, settings: Map<String, Value>) -> Node {
    let policy = task.policy.or(&definition.defaults);
    Node {
        id: task.id.name.clone(),
        op: task.op.name.clone(),
        after: names(&task.after),
        // The default of all tasks is not meant for those that tidy up.
        trigger: match task.policy.trigger {
            None if task.teardown => TriggerRule::AllDoneSetupSuccess,
            _ => policy.trigger.unwrap_or_default(),
        },
        retry: RetryPolicy {
            max_run_crashes: definition
                .max_run_crashes
                .unwrap_or(RetryPolicy::default().max_run_crashes),
            ..policy.retry()
        },
        timeout: policy.timeout,
        pool: policy.pool,
        priority: policy.priority.unwrap_or_default(),
        setup: task.setup,
        teardown: task.teardown,
        fails_run: task.fails_run,
        when: task.when.as_ref().map(|when| when.name.clone()),
        map: None,
        shard: None,
        executor: policy.executor,
        stall_timeout: policy.stall_timeout,
        memory: policy.memory,
        settings,
    }
}

fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(|task| task.name.clone()).collect()
}

fn rendered(
    definition: &Definition,
    item: &Item,
    scope: &Scope<'_>,
    report: &mut Report<'_>,
) -> Value {
    match &item.data {
        Data::Text(text) => expression::render(text, &scope.context).unwrap_or_else(|error| {
            let offset = within(definition, item, error.position.offset);
            report(Site::File(offset), error.message, error.hint);
            Value::from(text.as_str())
        }),
        Data::List(items) => items
            .iter()
            .map(|item| rendered(definition, item, scope, report))
            .collect(),
        Data::Table(entries) => entries
            .iter()
            .map(|entry| {
                let value = rendered(definition, &entry.value, scope, report);
                (entry.key.clone(), value)
            })
            .collect::<Map<String, Value>>()
            .into(),
        _ => item.to_json(),
    }
}

/// The byte of the file that is `offset` bytes into a text, where the file writes the text as it
/// is; the text's start where it uses escapes.
pub(super) fn within(definition: &Definition, item: &Item, offset: usize) -> usize {
    let source = definition.document.text.get(item.span.clone());
    let text = item.as_text().unwrap_or_default();
    match source.and_then(|source| source.find(text)) {
        Some(quotes) if !text.is_empty() => item.span.start + quotes + offset,
        _ => item.span.start,
    }
}

/// Where in the file a fault of the whole graph is.
pub(super) fn graph_offset(definition: &Definition, error: &GraphError) -> usize {
    let (task, upstream) = match error {
        GraphError::Duplicate(id) => (id, None),
        GraphError::UnknownUpstream { task, upstream } => (task, Some(upstream)),
        // The second task of the printed cycle waits for the first one.
        GraphError::Cycle(ids) => match ids.as_slice() {
            [first, second, ..] => (second, Some(first)),
            _ => return 0,
        },
    };
    let mut same = definition
        .tasks
        .iter()
        .filter(|known| &known.id.name == task);
    let found = match upstream {
        None => same.next_back(),
        Some(_) => same.next(),
    };
    found.map_or(0, |task| {
        task.after
            .iter()
            .find(|reference| Some(&reference.name) == upstream)
            .map_or(task.id.span.start, |reference| reference.span.start)
    })
}

/// The SHA-256 of a text, in hexadecimal.
fn hash(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
