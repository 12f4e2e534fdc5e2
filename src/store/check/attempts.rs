//! Attempts beside their tasks: what runs, how often, and that nothing is done twice.

use sqlx::SqliteConnection;

use super::{Error, Faults, rules};

pub(super) async fn check(state: &mut SqliteConnection, faults: &mut Faults) -> Result<(), Error> {
    rules! { state, faults,
        "attempt_of_idle_task": r#"
            SELECT 'attempt ' || number || ' of task `' || attempts.task_id || '` in run '
                || attempts.run_id || ' is running, but the task is ' || tasks.state
                AS "message!: String"
            FROM attempts JOIN tasks USING (run_id, position)
            WHERE attempts.state = 'running' AND tasks.state != 'running'"#,
        "running_task_without_attempt": r#"
            SELECT 'task `' || task_id || '` of run ' || run_id || ' is running, but no attempt is'
                AS "message!: String"
            FROM tasks
            WHERE state = 'running' AND attempts > 0 AND NOT EXISTS (
                SELECT 1 FROM attempts WHERE attempts.run_id = tasks.run_id
                  AND attempts.position = tasks.position AND attempts.state = 'running')"#,
        "two_attempts_at_once": r#"
            SELECT count(*) || ' attempts of task `' || task_id || '` in run ' || run_id
                || ' are running at once' AS "message!: String"
            FROM attempts WHERE state = 'running'
            GROUP BY run_id, position HAVING count(*) > 1"#,
        "attempts_miscounted": r#"
            SELECT 'task `' || tasks.task_id || '` of run ' || tasks.run_id || ' counts '
                || tasks.attempts || ' attempts, but has '
                || (SELECT count(*) FROM attempts WHERE attempts.run_id = tasks.run_id
                      AND attempts.position = tasks.position)
                || ' rows up to number '
                || (SELECT ifnull(max(number), 0) FROM attempts
                    WHERE attempts.run_id = tasks.run_id
                      AND attempts.position = tasks.position) AS "message!: String"
            FROM tasks
            WHERE tasks.attempts != (
                    SELECT count(*) FROM attempts WHERE attempts.run_id = tasks.run_id
                      AND attempts.position = tasks.position)
               OR tasks.attempts != (
                    SELECT ifnull(max(number), 0) FROM attempts
                    WHERE attempts.run_id = tasks.run_id
                      AND attempts.position = tasks.position)"#,
        "success_repeated": r#"
            SELECT 'task `' || task_id || '` of run ' || run_id || ' succeeded '
                || sum(state = 'succeeded') || ' times, without having been cleared in between'
                AS "message!: String"
            FROM attempts
            GROUP BY run_id, position
            HAVING sum(state = 'succeeded') > 1 + (
                SELECT count(*) FROM transitions WHERE transitions.run_id = attempts.run_id
                  AND transitions.position = attempts.position AND "from" = 'succeeded')"#,
        "started_after_success": r#"
            SELECT 'attempt ' || later.number || ' of task `' || later.task_id || '` in run '
                || later.run_id || ' began although attempt ' || done.number || ' had succeeded'
                AS "message!: String"
            FROM attempts AS done JOIN attempts AS later
                ON later.run_id = done.run_id AND later.position = done.position
               AND later.number > done.number
            WHERE done.state = 'succeeded' AND NOT EXISTS (
                SELECT 1 FROM transitions WHERE transitions.run_id = done.run_id
                  AND transitions.position = done.position AND "from" = 'succeeded')"#,
        "success_forgotten": r#"
            SELECT 'attempt ' || number || ' of task `' || attempts.task_id || '` in run '
                || attempts.run_id || ' succeeded, but the task is ' || tasks.state
                AS "message!: String"
            FROM attempts JOIN tasks USING (run_id, position)
            WHERE attempts.state = 'succeeded' AND attempts.number = tasks.attempts
              AND tasks.state != 'succeeded' AND NOT EXISTS (
                SELECT 1 FROM transitions WHERE transitions.run_id = tasks.run_id
                  AND transitions.position = tasks.position AND "from" = 'succeeded')"#,
        "success_without_attempt": r#"
            SELECT 'task `' || tasks.task_id || '` of run ' || tasks.run_id
                || ' succeeded, but its last attempt is ' || attempts.state AS "message!: String"
            FROM tasks JOIN attempts ON attempts.run_id = tasks.run_id
                AND attempts.position = tasks.position AND attempts.number = tasks.attempts
            WHERE tasks.state = 'succeeded' AND attempts.state != 'succeeded'"#,
        "attempt_times": r#"
            SELECT 'attempt ' || number || ' of task `' || task_id || '` in run ' || run_id
                || ' is ' || state || ', but its end is ' || ifnull(ended_at, 'not told')
                AS "message!: String"
            FROM attempts WHERE (state = 'running') = (ended_at IS NOT NULL)"#,
        "attempt_of_other_task": r#"
            SELECT 'attempt ' || number || ' in run ' || attempts.run_id || ' is of task `'
                || attempts.task_id || '`, but at its place is `' || tasks.task_id || '`'
                AS "message!: String"
            FROM attempts JOIN tasks USING (run_id, position)
            WHERE attempts.task_id != tasks.task_id"#,
        "attempt_of_the_future": r#"
            SELECT 'attempt ' || number || ' of task `' || task_id || '` in run ' || run_id
                || ' has fence ' || attempts.fence || ', but the run is at ' || runs.fence
                AS "message!: String"
            FROM attempts JOIN runs ON runs.id = attempts.run_id
            WHERE attempts.fence > runs.fence"#,
        "attempt_of_former_owner": r#"
            SELECT 'attempt ' || number || ' of task `' || task_id || '` in run ' || run_id
                || ' runs under fence ' || attempts.fence || ', but the run changed hands ('
                || runs.fence || ')' AS "message!: String"
            FROM attempts JOIN runs ON runs.id = attempts.run_id
            WHERE attempts.state = 'running' AND attempts.fence != runs.fence"#,
    }
    Ok(())
}
