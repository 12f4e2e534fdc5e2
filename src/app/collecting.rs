//! Whether anybody reads the scores of the live source at their age.
//!
//! A pipeline that learns once a day meets most posts at another age than its horizon: what it reads
//! then is late, and no label. Another pipeline has to read all day.

use std::time::Duration;

use super::{App, Error, Prepared};
use crate::{
    dag::Graph,
    pipelines::{self, Definition},
    sources::SourceSpec,
};

/// A pipeline that collects has run in this time before.
const LATELY: Duration = Duration::from_hours(1);

impl App {
    /// What to do so that a run which learns from the live source finds labels; `None` where
    /// nothing is to be done.
    pub(super) async fn collecting_advice(
        &self,
        prepared: &Prepared,
    ) -> Result<Option<String>, Error> {
        let source = prepared.source.as_deref().map(str::parse);
        let compiled = &prepared.compiled;
        if !matches!(source, Some(Ok(SourceSpec::Reddit))) || !learns(&compiled.graph) {
            return Ok(None);
        }
        let files = pipelines::files(self.home())?;
        let definitions = files.iter().filter_map(|file| pipelines::load(file).ok());
        let others: Vec<Definition> = definitions
            .filter(|other| other.name != compiled.pipeline && collects(other))
            .collect();
        for other in &others {
            let last = self.store().runs(Some(&other.name), 1).await?;
            let since = last.first().map(|run| run.created_at + LATELY);
            if since > Some(self.clock().now()) {
                return Ok(None);
            }
        }
        let paused = self.paused().await?;
        let what_to_do = match others.first() {
            Some(other) if paused.contains_key(&other.name) => format!(
                "`{0}` reads them and is paused: `trendmill pipelines unpause {0}`",
                other.name
            ),
            Some(other) => format!(
                "`{0}` reads them, and has not run for an hour: `trendmill up` runs it all day, \
                 `trendmill run {0}` once",
                other.name
            ),
            None => "no pipeline here reads them all day: put `reddit_collect.toml` beside this \
                     one, and let `trendmill up` run it"
                .to_owned(),
        };
        Ok(Some(format!(
            "`{}` learns from scores that are read when a post reaches its horizon, and finds few \
             of them: {what_to_do}. Its first labels are there a horizon later",
            compiled.pipeline
        )))
    }
}

fn learns(graph: &Graph) -> bool {
    let has = |op: &str| graph.nodes().iter().any(|node| node.op == op);
    has("refresh") && has("train")
}

/// Whether a pipeline reads scores all day.
fn collects(definition: &Definition) -> bool {
    let has = |op: &str| definition.tasks.iter().any(|task| task.op.name == op);
    has("refresh") && !has("train")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        app::RunRequest,
        clock::{ManualClock, Timestamp},
        config::Settings,
    };

    const COLLECT: &str = include_str!("../../pipelines/reddit_collect.toml");

    #[tokio::test]
    async fn who_learns_without_collecting_is_told() {
        let home = tempfile::tempdir().unwrap();
        let pipelines = home.path().join("pipelines");
        fs_err::create_dir(&pipelines).unwrap();
        let learning = include_str!("../../pipelines/reddit.toml");
        fs_err::write(pipelines.join("reddit.toml"), learning).unwrap();
        let settings = Settings::from_layers("", []).unwrap();
        let app = App::open(home.path(), settings).await.unwrap();
        let now: Timestamp = "2026-03-10T02:00:00Z".parse().unwrap();
        let app = app.with_clock(Arc::new(ManualClock::new(now)));
        let advice = async |source: &str| {
            let request = RunRequest {
                pipeline: "reddit".to_owned(),
                source: Some(source.to_owned()),
                ..RunRequest::default()
            };
            let prepared = app.prepare(&request).await.unwrap();
            app.collecting_advice(&prepared).await.unwrap()
        };
        assert_eq!(advice("sandbox").await, None);
        let alone = advice("reddit").await.unwrap();
        assert!(
            alone.contains("put `reddit_collect.toml` beside"),
            "{alone}"
        );
        fs_err::write(pipelines.join("reddit_collect.toml"), COLLECT).unwrap();
        let idle = advice("reddit").await.unwrap();
        assert!(
            idle.contains("`trendmill run reddit_collect` once"),
            "{idle}"
        );
        app.pause("reddit_collect").await.unwrap();
        let paused = advice("reddit").await.unwrap();
        assert!(paused.contains("`trendmill pipelines unpause reddit_collect`"));
        let store = app.store();
        store.made_up_run("1", "reddit_collect", now, None).await;
        assert_eq!(advice("reddit").await, None);
    }
}
