-- Schedules, the ticks that became no run, paused pipelines, backfills.
-- Times are milliseconds since 1970-01-01T00:00:00Z. Documents are JSON.

-- Every schedule that a pipeline file has, or had.
CREATE TABLE schedules (
    id            TEXT    NOT NULL PRIMARY KEY, -- pipeline/name; runs.schedule
    pipeline      TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    timing        TEXT    NOT NULL, -- when it fires; where this changes, it begins anew
    spec          TEXT    NOT NULL, -- object: everything that the file says
    handled_until INTEGER NOT NULL, -- up to here every tick became a run or was left out
    first_seen_at INTEGER NOT NULL,
    removed_at    INTEGER,          -- NULL while the file has it
    fault         TEXT              -- in words: why a due tick cannot become a run at present
) STRICT, WITHOUT ROWID;

-- Ticks that became no run, where several follow on each other in one row.
CREATE TABLE skipped_ticks (
    schedule TEXT    NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    reason   TEXT    NOT NULL, -- in words
    at       INTEGER NOT NULL, -- when that was decided
    PRIMARY KEY (schedule, first)
) STRICT, WITHOUT ROWID;

-- Pipelines whose schedules make no runs until they are let go on.
CREATE TABLE paused_pipelines (
    pipeline  TEXT    NOT NULL PRIMARY KEY,
    paused_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs for past intervals that somebody asked for.
CREATE TABLE backfills (
    id          TEXT    NOT NULL PRIMARY KEY, -- UUIDv7
    pipeline    TEXT    NOT NULL,
    request     TEXT    NOT NULL, -- object: source, profile, params of its runs
    concurrency INTEGER NOT NULL, -- the most runs of it at once
    state       TEXT    NOT NULL CHECK (state IN ('running', 'paused', 'cancelled', 'succeeded', 'failed')),
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE backfill_intervals (
    backfill       TEXT    NOT NULL REFERENCES backfills (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    scheduled_for  INTEGER NOT NULL,
    interval_start INTEGER NOT NULL,
    interval_end   INTEGER NOT NULL,
    run_id         TEXT,             -- NULL until it was made
    fault          TEXT,             -- in words: why no run could be made of it
    PRIMARY KEY (backfill, position)
) STRICT, WITHOUT ROWID;

-- When the run is to have ended, where its schedule says so.
ALTER TABLE runs ADD COLUMN deadline_at INTEGER;

CREATE INDEX runs_by_interval ON runs (pipeline, interval_start, interval_end);
