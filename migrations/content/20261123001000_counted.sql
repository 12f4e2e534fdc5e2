-- What a walk through files has counted up to its cursors, over all attempts of a task: rows sent,
-- and rows dropped by reason (JSON).
ALTER TABLE task_progress ADD COLUMN counted TEXT;
