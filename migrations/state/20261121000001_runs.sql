-- Runs of pipelines, their tasks and attempts, and why each changed its state.
-- Times are milliseconds since 1970-01-01T00:00:00Z. Documents are JSON.

-- Every text that a pipeline ever had when it ran.
CREATE TABLE definitions (
    hash          TEXT    NOT NULL PRIMARY KEY, -- SHA-256 of the text
    pipeline      TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    first_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One execution of a pipeline for one data interval.
CREATE TABLE runs (
    id               TEXT    NOT NULL PRIMARY KEY, -- UUIDv7: ids sort by creation
    pipeline         TEXT    NOT NULL,
    definition_hash  TEXT    NOT NULL REFERENCES definitions (hash),
    graph            TEXT    NOT NULL, -- all tasks with rendered settings; a resumed run reads it back
    params           TEXT    NOT NULL, -- object
    source           TEXT,
    profile          TEXT,
    schedule         TEXT,             -- NULL for a run that no schedule made
    scheduled_for    INTEGER NOT NULL,
    interval_start   INTEGER NOT NULL,
    interval_end     INTEGER NOT NULL,
    as_of            INTEGER NOT NULL, -- rows that were known later are not read
    force            INTEGER NOT NULL, -- 1: everything is computed again
    trigger          TEXT    NOT NULL CHECK (trigger IN ('manual', 'scheduled', 'backfill')),
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    cause            TEXT    NOT NULL, -- in words: why it has this state
    identity         TEXT    NOT NULL, -- equal for runs that are one and the same to a person
    owner            TEXT,             -- the process at work on it; NULL where there is none
    fence            INTEGER NOT NULL, -- grows with every owner; a writer with an older one is refused
    cancel_requested INTEGER NOT NULL, -- 1: its owner is to end it
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    ended_at         INTEGER
) STRICT;

-- A tick of a schedule makes one run, whatever restarts.
CREATE UNIQUE INDEX runs_by_tick ON runs (schedule, scheduled_for) WHERE schedule IS NOT NULL;
CREATE INDEX runs_unfinished ON runs (identity) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_pipeline ON runs (pipeline, created_at);

-- Where each task of a run stands. What it does and waits for is in the run's graph.
CREATE TABLE tasks (
    run_id        TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL, -- in the run's graph
    task_id       TEXT    NOT NULL,
    op            TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('waiting', 'ready', 'running', 'delayed', 'succeeded', 'failed', 'upstream_failed', 'skipped', 'cancelled')),
    cause         TEXT    NOT NULL, -- in words: why it has this state
    delayed_until INTEGER,
    attempts      INTEGER NOT NULL, -- how many were started
    failures      INTEGER NOT NULL, -- how many of them failed or timed out
    crashes       INTEGER NOT NULL, -- how many in a row crashed without having committed anything
    message       TEXT,             -- for people: the outcome's sentence, the error, the reason of a skip
    outcome       TEXT,             -- object: rows_in, rows_out, …, output; NULL until it succeeded
    started_at    INTEGER,          -- of the first attempt
    ended_at      INTEGER,
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;

-- One try of one task.
CREATE TABLE attempts (
    id            TEXT    NOT NULL PRIMARY KEY, -- UUIDv7
    run_id        TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    task_id       TEXT    NOT NULL,
    number        INTEGER NOT NULL, -- from 1
    owner         TEXT    NOT NULL,
    fence         INTEGER NOT NULL, -- that of the run when it started
    pid           INTEGER,          -- of its own process, where it has one
    state         TEXT    NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'crashed', 'timed_out', 'cancelled', 'skipped')),
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
    error_code    TEXT,             -- stable: failed, retry, timed_out, panicked, process_lost, owner_lost, cancelled
    result        TEXT,             -- what a child process reports; its parent turns it into the columns above
    log           TEXT    NOT NULL, -- path below data/; the file exists once something was logged
    FOREIGN KEY (run_id, position) REFERENCES tasks (run_id, position) ON DELETE CASCADE,
    UNIQUE (run_id, position, number)
) STRICT;

CREATE INDEX attempts_running ON attempts (run_id) WHERE state = 'running';

-- Every change of a state, appended with it in one transaction.
CREATE TABLE transitions (
    id       INTEGER NOT NULL PRIMARY KEY,
    run_id   TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER,                 -- NULL: the run itself
    "from"   TEXT    NOT NULL,
    "to"     TEXT    NOT NULL,
    cause    TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

CREATE INDEX transitions_by_run ON transitions (run_id, id);
