//! Each rule finds what it forbids, and nothing in a sound store.

use super::*;

/// A run that ended, a run at work (`a` succeeded at its second attempt, `b` is running), and a
/// version with its champion.
const SOUND: &str = r#"
INSERT INTO definitions VALUES ('d', 'p', '', 0);
INSERT INTO runs (id, pipeline, definition_hash, graph, params, source, profile, schedule,
        scheduled_for, interval_start, interval_end, as_of, force, trigger, state, cause, identity,
        owner, fence, cancel_requested, created_at, started_at, ended_at)
    SELECT value, 'p', 'd', '[{},{}]', '{}', NULL, NULL, NULL, 0, 0, 0, 0, 0,
    'manual', iif(value = 'old', 'succeeded', 'running'), '', value,
    iif(value = 'old', NULL, 'me'), 2, 0, 0, 0, iif(value = 'old', 9, NULL)
    FROM json_each('["old", "new"]');
INSERT INTO tasks (run_id, position, task_id, op, state, cause, delayed_until, attempts, failures,
        crashes, message, outcome, started_at, ended_at) VALUES
    ('old', 0, 'a', 'noop', 'succeeded', '', NULL, 1, 0, 0, NULL, '{}', 1, 2),
    ('old', 1, 'b', 'noop', 'skipped', '', NULL, 0, 0, 0, NULL, NULL, NULL, 2),
    ('new', 0, 'a', 'embed', 'succeeded', '', NULL, 2, 1, 0, NULL, '{}', 1, 5),
    ('new', 1, 'b', 'noop', 'running', '', NULL, 1, 0, 0, NULL, NULL, 6, NULL);
INSERT INTO attempts (id, run_id, position, task_id, number, owner, fence, state, started_at,
        heartbeat_at, ended_at, rows_done, rows_computed, log)
    VALUES ('1', 'old', 0, 'a', 1, 'me', 1, 'succeeded', 1, 1, 2, 0, NULL, ''),
           ('2', 'new', 0, 'a', 1, 'me', 1, 'failed', 1, 1, 2, 0, NULL, ''),
           ('3', 'new', 0, 'a', 2, 'me', 2, 'succeeded', 3, 3, 5, 7, 7, ''),
           ('4', 'new', 1, 'b', 1, 'me', 2, 'running', 6, 6, NULL, 0, NULL, '');
INSERT INTO transitions (run_id, position, "from", "to", cause, at)
    VALUES ('old', NULL, 'queued', 'running', '', 0), ('old', NULL, 'running', 'succeeded', '', 9),
           ('new', NULL, 'queued', 'running', '', 0),
           ('new', 0, 'waiting', 'ready', '', 0), ('new', 0, 'ready', 'running', '', 0),
           ('new', 0, 'running', 'delayed', '', 0), ('new', 0, 'delayed', 'ready', '', 0),
           ('new', 0, 'ready', 'running', '', 0), ('new', 0, 'running', 'succeeded', '', 0),
           ('new', 1, 'waiting', 'ready', '', 0), ('new', 1, 'ready', 'running', '', 0);
INSERT INTO model_versions VALUES ('m', 1, 'old', 0, 0, 'k', '{}', NULL);
INSERT INTO model_aliases VALUES ('m', 'champion', 1, 0, '');
"#;

const SOUND_CONTENT: &str = "
INSERT INTO task_progress VALUES ('new', 'a', 7, 0, NULL);
INSERT INTO predictions VALUES ('d', 'r', 'm', 1, 0, 0, 0, 0, 'old', NULL);
INSERT INTO records VALUES ('d', 'r', NULL, NULL, NULL, NULL, '[]', '{}', 0, 0, 'old');
INSERT INTO raw VALUES ('d', 'r', 0, 0, x'28b52ffd00581100007b7d', NULL);
INSERT INTO media VALUES (x'01', 1, 'png', 1, 1, 1, 0, NULL, 1);
INSERT INTO media_places VALUES ('u', 'stored', NULL, x'01', 0, 'old', 0);
INSERT INTO embeddings VALUES (x'01', x'01', 'f32', x'00000000', 0, 'old'),
                              (x'01', x'02', 'f32', x'00000000', 0, 'old');
";

async fn sound() -> Store {
    let store = Store::in_memory().await.unwrap();
    for (database, rows) in [(&store.state, SOUND), (&store.content, SOUND_CONTENT)] {
        damage(database, rows).await;
    }
    store
}

async fn damage(database: &super::super::Database, statements: &'static str) {
    for text in ["PRAGMA foreign_keys = 0", statements] {
        sqlx::raw_sql(text).execute(database.read()).await.unwrap();
    }
}

#[tokio::test]
async fn a_sound_store_has_no_faults() {
    assert_eq!(sound().await.faults().await.unwrap(), []);
}

/// What breaks which rule about the content.
const CONTENT_DAMAGE: [(&str, &str); 6] = [
    ("image_miscounted", "UPDATE media SET refs = 2"),
    (
        "vector_of_other_length",
        "UPDATE embeddings SET vector = x'00' WHERE content = x'02'",
    ),
    ("lost_content", "DELETE FROM task_progress"),
    ("dangling_reference", "DELETE FROM media"),
    ("dangling_reference", "DELETE FROM records"),
    ("raw_not_packed", "UPDATE raw SET body = x'7b7d'"),
];

#[tokio::test]
async fn each_contradiction_is_found() {
    let state = [
        (
            "ended_run_with_unfinished_task",
            "UPDATE tasks SET state = 'waiting' WHERE run_id = 'old' AND position = 1",
        ),
        (
            "unfinished_run_without_work",
            "UPDATE tasks SET state = 'failed' WHERE run_id = 'new'",
        ),
        ("owner_without_work", "UPDATE runs SET owner = 'me'"),
        ("work_without_owner", "UPDATE runs SET owner = NULL"),
        ("run_times", "UPDATE runs SET ended_at = NULL"),
        ("task_times", "UPDATE tasks SET ended_at = 7"),
        ("delay_without_end", "UPDATE tasks SET delayed_until = 7"),
        (
            "tasks_do_not_fit_graph",
            "DELETE FROM tasks WHERE position = 1",
        ),
        (
            "run_cancelled_unasked",
            "UPDATE tasks SET state = 'cancelled' WHERE run_id = 'old'",
        ),
        (
            "success_without_outcome",
            "UPDATE tasks SET outcome = NULL WHERE run_id = 'new'",
        ),
        ("run_without_definition", "DELETE FROM definitions"),
        (
            "transitions_do_not_chain",
            r#"DELETE FROM transitions WHERE "to" = 'delayed'"#,
        ),
        (
            "task_against_transitions",
            "UPDATE tasks SET state = 'failed' WHERE run_id = 'new'",
        ),
        (
            "run_against_transitions",
            "UPDATE runs SET state = 'failed' WHERE id = 'old'",
        ),
        ("alias_without_version", "DELETE FROM model_versions"),
        ("dangling_reference", "DELETE FROM model_versions"),
        (
            "attempt_of_idle_task",
            "UPDATE tasks SET state = 'ready' WHERE state = 'running'",
        ),
        (
            "running_task_without_attempt",
            "UPDATE attempts SET state = 'crashed' WHERE state = 'running'",
        ),
        (
            "two_attempts_at_once",
            "UPDATE attempts SET state = 'running'",
        ),
        ("attempts_miscounted", "DELETE FROM attempts WHERE id = '2'"),
        (
            "success_repeated",
            "UPDATE attempts SET state = 'succeeded'",
        ),
        (
            "started_after_success",
            "UPDATE attempts SET state = 'succeeded' WHERE id = '2'",
        ),
        ("success_forgotten", "UPDATE tasks SET state = 'failed'"),
        (
            "success_without_attempt",
            "UPDATE attempts SET state = 'crashed' WHERE id = '3'",
        ),
        (
            "attempt_times",
            "UPDATE attempts SET ended_at = NULL WHERE id = '1'",
        ),
        ("attempt_of_other_task", "UPDATE attempts SET task_id = 'c'"),
        ("attempt_of_the_future", "UPDATE runs SET fence = 1"),
        ("attempt_of_former_owner", "UPDATE runs SET fence = 3"),
        (
            "lost_content",
            "UPDATE attempts SET rows_computed = 8 WHERE id = '3'",
        ),
        (
            "prediction_of_unknown_version",
            "UPDATE model_versions SET version = 2",
        ),
    ];
    for (code, statement) in state {
        let store = sound().await;
        damage(&store.state, statement).await;
        is_found(&store, code).await;
    }
    for (code, statement) in CONTENT_DAMAGE {
        let store = sound().await;
        damage(&store.content, statement).await;
        is_found(&store, code).await;
    }
}

async fn is_found(store: &Store, code: &str) {
    let faults = store.faults().await.unwrap();
    assert!(
        faults.iter().any(|fault| fault.code == code),
        "{code}: {faults:#?}"
    );
}

#[tokio::test]
async fn a_clear_allows_a_second_success() {
    let store = sound().await;
    damage(
        &store.state,
        r#"
        INSERT INTO transitions (run_id, position, "from", "to", cause, at)
        VALUES ('new', 0, 'succeeded', 'waiting', '', 0), ('new', 0, 'waiting', 'ready', '', 0),
               ('new', 0, 'ready', 'running', '', 0), ('new', 0, 'running', 'succeeded', '', 0);
        INSERT INTO attempts (id, run_id, position, task_id, number, owner, fence, state,
                started_at, heartbeat_at, ended_at, rows_done, rows_computed, log)
        VALUES ('5', 'new', 0, 'a', 3, 'me', 2, 'succeeded', 3, 3, 5, 7, 7, '');
        UPDATE tasks SET attempts = 3 WHERE run_id = 'new' AND position = 0;"#,
    )
    .await;
    assert_eq!(store.faults().await.unwrap(), []);
}

#[tokio::test]
async fn thousands_of_faults_are_a_short_answer() {
    let store = sound().await;
    damage(
        &store.state,
        "INSERT INTO runs (id, pipeline, definition_hash, graph, params, source, profile,
             schedule, scheduled_for, interval_start, interval_end, as_of, force, trigger, state,
             cause, identity, owner, fence, cancel_requested, created_at, started_at, ended_at)
         SELECT 'r' || key, 'p', 'd', '[]', '{}', NULL, NULL, NULL, 0, 0, 0, 0,
             0, 'manual', 'succeeded', '', 'i', 'me', 1, 0, 0, 0, 9
         FROM json_each('[' || substr(replace(hex(zeroblob(1000)), '00', ',0'), 2) || ']');",
    )
    .await;
    let faults = store.faults().await.unwrap();
    assert_eq!(faults.len(), MOST + 1);
    assert_eq!(faults[MOST].message, "and 900 more like these");
}
