//! A pipeline as its file says it, before templates are rendered.

use std::{collections::BTreeMap, ops::Range, path::PathBuf, time::Duration};

use serde_json::{Map, Value};

use super::{Param, Schedule};
use crate::{
    clock::Timestamp,
    config::document::{Document, Table},
    dag::{ExecutorKind, RetryPolicy, RetryRule, TriggerRule},
    expression::Kind,
};

/// A pipeline as its file says it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The file, as it was named or relative to the home.
    pub path: PathBuf,
    /// The parsed file.
    pub document: Document,
    /// The pipeline's name.
    pub name: String,
    /// One line for lists.
    pub description: Option<String>,
    /// When it runs by itself.
    pub schedules: Vec<Schedule>,
    /// What `--param` can set, in the order of the file.
    pub params: Vec<Param>,
    /// The profile that is used where none is asked for; `None` where there are none.
    pub profile: Option<String>,
    /// What the file says of that, where the pipeline was switched to another one.
    pub switched: Option<Switched>,
    /// Sets of encoders.
    pub profiles: Vec<Profile>,
    /// The source's own fields that expressions may use.
    pub fields: Vec<(String, Kind)>,
    /// What holds for tasks that do not say otherwise.
    pub defaults: Policy,
    /// `max_run_crashes` in `[defaults]`: how many times a run may lose attempts with their processes.
    pub max_run_crashes: Option<u32>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Task>,
}

/// That a pipeline uses another profile than its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The profile that the file says.
    pub from: Option<String>,
    /// Since when.
    pub at: Timestamp,
}

/// What people decided about the pipelines of a home, beside their files; by pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Those that are paused, and since when.
    pub paused: BTreeMap<String, Timestamp>,
    /// The profiles to which they were switched, and when.
    pub switched: BTreeMap<String, (String, Timestamp)>,
}

impl Definition {
    /// Takes the profile to which the pipeline was switched for the one of its file.
    pub fn apply(&mut self, decided: &Decided) {
        if let Some((profile, at)) = decided.switched.get(&self.name) {
            let from = self.profile.replace(profile.clone());
            self.switched = Some(Switched { from, at: *at });
        }
    }
}

/// A set of encoders; `none` leaves one out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The encoder of titles and captions.
    pub text: String,
    /// The encoder of images.
    pub image: String,
    /// What describes an image in words.
    pub caption: String,
    /// The encoder of an image with its text.
    pub visual: String,
}

impl Profile {
    /// The keys that every profile has.
    pub const KEYS: [&'static str; 4] = ["text", "image", "caption", "visual"];

    /// What `profile` is in templates.
    pub fn to_map(&self) -> Map<String, Value> {
        let values = [&self.text, &self.image, &self.caption, &self.visual];
        Self::KEYS
            .into_iter()
            .zip(values)
            .chain([("name", &self.name)])
            .map(|(key, value)| (key.to_owned(), Value::from(value.as_str())))
            .collect()
    }
}

/// How a task is run, as far as the file says; what it leaves open comes from `[defaults]`, then
/// from [`RetryPolicy`] and [`TriggerRule`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `Node` and `RetryPolicy`"
)]
pub struct Policy {
    pub retries: Option<u32>,
    pub retry_delay: Option<Duration>,
    pub max_retry_delay: Option<Duration>,
    pub crash_retries: Option<u32>,
    pub timeout: Option<Duration>,
    pub pool: Option<String>,
    pub trigger: Option<TriggerRule>,
    pub executor: Option<ExecutorKind>,
    pub retry_backoff: Option<f64>,
    pub retry_jitter: Option<f64>,
    pub retry_rules: Option<Vec<RetryRule>>,
    pub stall_timeout: Option<Duration>,
    pub memory: Option<u64>,
    pub priority: Option<i32>,
}

impl Task {
    /// The keys of a task beside those of its policy; every other one is a setting.
    pub const KEYS: [&'static str; 9] = [
        "id",
        "op",
        "after",
        "setup",
        "teardown",
        "fails_run",
        "when",
        "map",
        "max_active",
    ];
}

impl Policy {
    /// The keys of a policy, in `[defaults]` and in tasks.
    pub const KEYS: [&'static str; 14] = [
        "retries",
        "retry_delay",
        "max_retry_delay",
        "crash_retries",
        "timeout",
        "pool",
        "trigger",
        "priority",
        "executor",
        "retry_backoff",
        "retry_jitter",
        "retry_rules",
        "stall_timeout",
        "memory",
    ];

    /// This policy, completed by another one.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            retries: self.retries.or(other.retries),
            retry_delay: self.retry_delay.or(other.retry_delay),
            max_retry_delay: self.max_retry_delay.or(other.max_retry_delay),
            crash_retries: self.crash_retries.or(other.crash_retries),
            timeout: self.timeout.or(other.timeout),
            pool: self.pool.clone().or_else(|| other.pool.clone()),
            trigger: self.trigger.or(other.trigger),
            priority: self.priority.or(other.priority),
            executor: self.executor.or(other.executor),
            retry_backoff: self.retry_backoff.or(other.retry_backoff),
            retry_jitter: self.retry_jitter.or(other.retry_jitter),
            retry_rules: self
                .retry_rules
                .clone()
                .or_else(|| other.retry_rules.clone()),
            stall_timeout: self.stall_timeout.or(other.stall_timeout),
            memory: self.memory.or(other.memory),
        }
    }

    /// How often and how soon a failed attempt is tried again.
    pub fn retry(&self) -> RetryPolicy {
        let usual = RetryPolicy::default();
        let delay = self.retry_delay.unwrap_or(usual.delay);
        RetryPolicy {
            retries: self.retries.unwrap_or(usual.retries),
            delay,
            // A pause that is written down is never cut by the default limit.
            max_delay: self.max_retry_delay.unwrap_or(usual.max_delay.max(delay)),
            crash_retries: self.crash_retries.unwrap_or(usual.crash_retries),
            max_run_crashes: usual.max_run_crashes,
            backoff: self.retry_backoff.unwrap_or(usual.backoff),
            jitter: self.retry_jitter.unwrap_or(usual.jitter),
            rules: self.retry_rules.clone().unwrap_or_default(),
        }
    }
}

/// A task as the file says it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: Reference,
    /// Its operator.
    pub op: Reference,
    /// The tasks directly upstream.
    pub after: Vec<Reference>,
    /// How it is run.
    pub policy: Policy,
    /// `setup = true`: it prepares something that a teardown puts away.
    pub setup: bool,
    /// `teardown = true`: it puts that away, also where a task failed or the run was cancelled.
    /// Its rule is `all_done_setup_success` unless it names another one.
    pub teardown: bool,
    /// `fails_run = true`: a teardown whose failure fails the run, as it does not otherwise.
    pub fails_run: bool,
    /// `when = "EXPR"`: where it is false once the task could start, the task is skipped.
    pub when: Option<Reference>,
    /// `map = "EXPR"`: the task is done for each item of a list, or for each of N numbers, in
    /// shards of its own; `{{ shard.index }}`, `{{ shard.count }}` and `{{ shard.item }}` stand in
    /// its settings. It succeeds when every shard has.
    pub map: Option<Reference>,
    /// `max_active = N`: how many shards run at once.
    pub max_active: Option<u32>,
    /// Every other key: the operator's settings, with their templates.
    pub settings: Table,
}

/// A name with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// The bytes of the file at which it stands.
    pub span: Range<usize>,
}
