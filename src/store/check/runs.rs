//! Runs and tasks: states, times, and the transitions that led to them.

use sqlx::SqliteConnection;

use super::{Error, Faults, rules};

pub(super) async fn check(state: &mut SqliteConnection, faults: &mut Faults) -> Result<(), Error> {
    rules! { state, faults,
        "ended_run_with_unfinished_task": r#"
            SELECT 'run ' || runs.id || ' is ' || runs.state || ', but its task `' || task_id
                || '` is ' || tasks.state AS "message!: String"
            FROM tasks JOIN runs ON runs.id = tasks.run_id
            WHERE runs.state IN ('succeeded', 'failed', 'cancelled')
              AND tasks.state IN ('waiting', 'ready', 'running', 'delayed')"#,
        "unfinished_run_without_work": r#"
            SELECT 'run ' || id || ' is running, but every task of it has ended'
                AS "message!: String"
            FROM runs
            WHERE state = 'running' AND EXISTS (SELECT 1 FROM tasks WHERE run_id = runs.id)
              AND NOT EXISTS (SELECT 1 FROM tasks WHERE run_id = runs.id
                AND state IN ('waiting', 'ready', 'running', 'delayed'))"#,
        "owner_without_work": r#"
            SELECT 'run ' || id || ' is ' || state || ', but `' || owner || '` still owns it'
                AS "message!: String"
            FROM runs
            WHERE state IN ('succeeded', 'failed', 'cancelled') AND owner IS NOT NULL"#,
        "work_without_owner": r#"
            SELECT 'run ' || id || ' is running, but nobody owns it' AS "message!: String"
            FROM runs WHERE state = 'running' AND owner IS NULL"#,
        "run_times": r#"
            SELECT 'run ' || id || ' is ' || state || ', but its end is '
                || ifnull(ended_at, 'not told') AS "message!: String"
            FROM runs
            WHERE (state IN ('succeeded', 'failed', 'cancelled')) != (ended_at IS NOT NULL)"#,
        "task_times": r#"
            SELECT 'task `' || task_id || '` of run ' || run_id || ' is ' || state
                || ', but its end is ' || ifnull(ended_at, 'not told') AS "message!: String"
            FROM tasks
            WHERE (state IN ('waiting', 'ready', 'running', 'delayed')) = (ended_at IS NOT NULL)"#,
        "delay_without_end": r#"
            SELECT 'task `' || task_id || '` of run ' || run_id || ' is ' || state
                || ', but its delay ends ' || ifnull('at ' || delayed_until, 'never')
                AS "message!: String"
            FROM tasks WHERE (state = 'delayed') != (delayed_until IS NOT NULL)"#,
        "success_without_outcome": r#"
            SELECT 'task `' || task_id || '` of run ' || run_id
                || ' has succeeded, but left no outcome' AS "message!: String"
            FROM tasks WHERE state = 'succeeded' AND outcome IS NULL"#,
        "tasks_do_not_fit_graph": r#"
            SELECT 'run ' || id || ' has ' || json_array_length(graph)
                || ' tasks in its graph, but ' || (SELECT count(*) FROM tasks WHERE run_id = id)
                || ' rows' AS "message!: String"
            FROM runs
            WHERE json_array_length(graph) > (SELECT count(*) FROM tasks WHERE run_id = id)
               OR (SELECT max(position) + 1 != count(*) FROM tasks WHERE run_id = id)"#,
        "run_cancelled_unasked": r#"
            SELECT 'run ' || id || ' succeeded, but somebody had cancelled its task `'
                || task_id || '`' AS "message!: String"
            FROM runs JOIN tasks ON tasks.run_id = runs.id
            WHERE runs.state = 'succeeded' AND tasks.state = 'cancelled'"#,
        "run_without_definition": r#"
            SELECT 'run ' || runs.id || ' is of a definition that is not kept'
                AS "message!: String"
            FROM runs LEFT JOIN definitions ON hash = definition_hash WHERE hash IS NULL"#,
        "transitions_do_not_chain": r#"
            WITH steps AS (
                SELECT run_id, position, id, "from", "to",
                    lag("to") OVER (PARTITION BY run_id, position ORDER BY id) AS before
                FROM transitions
            )
            SELECT ifnull('task at ' || position || ' of run ', 'run ') || run_id || ' became '
                || before || ', but its next transition (' || id || ') leaves ' || "from"
                AS "message!: String"
            FROM steps WHERE before != "from""#,
        "task_against_transitions": r#"
            SELECT 'task `' || task_id || '` of run ' || tasks.run_id || ' is ' || state
                || ', but its last transition made it ' || last."to" AS "message!: String"
            FROM tasks JOIN transitions AS last ON last.id =
                (SELECT max(id) FROM transitions WHERE transitions.run_id = tasks.run_id
                   AND transitions.position = tasks.position)
            WHERE last."to" != state"#,
        "run_against_transitions": r#"
            SELECT 'run ' || runs.id || ' is ' || state || ', but its last transition made it '
                || last."to" AS "message!: String"
            FROM runs JOIN transitions AS last ON last.id =
                (SELECT max(id) FROM transitions WHERE transitions.run_id = runs.id
                   AND transitions.position IS NULL)
            WHERE last."to" != state"#,
        "alias_without_version": r#"
            SELECT 'alias `' || model_aliases.name || '@' || alias || '` points at version '
                || model_aliases.version || ', which is not there' AS "message!: String"
            FROM model_aliases LEFT JOIN model_versions USING (name, version)
            WHERE model_versions.run_id IS NULL"#,
    }
    Ok(())
}
