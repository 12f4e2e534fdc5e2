//! Runs for tests that need their rows and no engine.

use super::{NewRun, NewTask, RunChange, Store, Transition, Turn};
use crate::clock::Timestamp;

impl Store {
    /// A run of one task that begins now.
    pub(crate) async fn made_up_run(
        &self,
        id: &str,
        pipeline: &str,
        now: Timestamp,
        deadline_at: Option<Timestamp>,
    ) {
        let task = NewTask {
            task_id: "merge".to_owned(),
            op: "merge".to_owned(),
            state: "succeeded",
            cause: String::new(),
            message: None,
            outcome: None,
            ended_at: Some(now),
        };
        let run = NewRun {
            id: id.to_owned(),
            pipeline: pipeline.to_owned(),
            definition_hash: id.to_owned(),
            definition: String::new(),
            graph: "[]".to_owned(),
            params: "{}".to_owned(),
            source: None,
            profile: None,
            schedule: None,
            scheduled_for: now,
            interval_start: now,
            interval_end: now,
            as_of: now,
            force: false,
            trigger: "manual",
            cause: "a test".to_owned(),
            identity: id.to_owned(),
            owner: Some("me".to_owned()),
            hold: None,
            deadline_at,
            backfill: None,
            created_at: now,
            tasks: vec![task],
        };
        let turn = Turn {
            new_runs: vec![run],
            ..Turn::default()
        };
        self.write_turn(&turn).await.unwrap();
        self.made_up_move(id, "queued", "running", now).await;
    }

    /// The end of such a run.
    pub(crate) async fn made_up_end(&self, id: &str, state: &'static str, now: Timestamp) {
        self.made_up_move(id, "running", state, now).await;
    }

    async fn made_up_move(&self, id: &str, from: &'static str, to: &'static str, now: Timestamp) {
        let change = RunChange {
            run: id.to_owned(),
            fence: 1,
            new_fence: 1,
            owner: None,
            state: to,
            cause: "a test".to_owned(),
            cancel_requested: false,
            started_at: Some(now),
            ended_at: (to != "running").then_some(now),
        };
        let transition = Transition {
            run: id.to_owned(),
            position: None,
            from,
            to,
            cause: "a test".to_owned(),
            at: now,
        };
        let turn = Turn {
            runs: vec![change],
            transitions: vec![transition],
            ..Turn::default()
        };
        self.write_turn(&turn).await.unwrap();
    }
}
