//! The policy as a table, by cases, under any order of events, and against a model.

mod cases;
mod machine;
mod model;
mod orders;
mod tables;

use std::time::Duration;

use super::*;
use crate::dag::{Node, RetryPolicy, TriggerRule};

fn node(id: &str, after: &[&str]) -> Node {
    Node {
        id: id.to_owned(),
        op: "noop".to_owned(),
        after: after.iter().map(|&name| name.to_owned()).collect(),
        trigger: TriggerRule::AllSuccess,
        retry: RetryPolicy {
            retries: 1,
            delay: Duration::from_secs(8),
            crash_retries: 1,
            ..RetryPolicy::default()
        },
        ..Node::default()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}
