-- Runs that wait for a word, tasks that are cancelled alone, attempts that wait for a time.

-- In words: why the run may not start yet; NULL where it may.
ALTER TABLE runs ADD COLUMN hold TEXT;

-- 1: its run's owner is to end the task; 0 again once it is cleared.
ALTER TABLE tasks ADD COLUMN cancel_requested INTEGER NOT NULL DEFAULT 0;
-- How many of its attempts were lost with their process, progress or not.
ALTER TABLE tasks ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;

CREATE INDEX tasks_to_cancel ON tasks (run_id) WHERE cancel_requested = 1;

-- The table as it was, with one more state: `deferred`.
CREATE TABLE attempts_new (
    id            TEXT    NOT NULL PRIMARY KEY, -- UUIDv7
    run_id        TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    task_id       TEXT    NOT NULL,
    number        INTEGER NOT NULL, -- from 1
    owner         TEXT    NOT NULL,
    fence         INTEGER NOT NULL, -- that of the run when it started
    pid           INTEGER,          -- of its own process, where it has one
    state         TEXT    NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'crashed', 'timed_out', 'cancelled', 'skipped', 'deferred')),
    started_at    INTEGER NOT NULL,
    heartbeat_at  INTEGER NOT NULL,
    ended_at      INTEGER,
    seconds       REAL,
    rows_done     INTEGER NOT NULL, -- committed so far, as of the heartbeat
    rows_in       INTEGER,
    rows_out      INTEGER,
    rows_computed INTEGER,
    rows_reused   INTEGER,
    bytes         INTEGER,
    dropped       TEXT,             -- object: reason → rows
    error         TEXT,
    error_code    TEXT,             -- stable: failed, retry, timed_out, panicked, process_lost, owner_lost, cancelled, deferred
    result        TEXT,             -- what a child process reports; its parent turns it into the columns above
    log           TEXT    NOT NULL, -- path below data/; the file exists once something was logged
    FOREIGN KEY (run_id, position) REFERENCES tasks (run_id, position) ON DELETE CASCADE,
    UNIQUE (run_id, position, number)
) STRICT;

INSERT INTO attempts_new
SELECT id, run_id, position, task_id, number, owner, fence, pid, state, started_at, heartbeat_at,
    ended_at, seconds, rows_done, rows_in, rows_out, rows_computed, rows_reused, bytes, dropped,
    error, error_code, result, log
FROM attempts;

DROP TABLE attempts;
ALTER TABLE attempts_new RENAME TO attempts;

CREATE INDEX attempts_running ON attempts (run_id) WHERE state = 'running';
