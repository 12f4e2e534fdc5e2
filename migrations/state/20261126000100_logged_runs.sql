-- What others log through MLflow's endpoints, beside the runs of pipelines.
CREATE TABLE logged_experiments (
    id         INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z, as are all times here
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER           -- NULL while it is there
) STRICT;

-- Where clients log that name no experiment.
INSERT INTO logged_experiments (id, name, created_at, updated_at)
VALUES (0, 'Default', unixepoch() * 1000, unixepoch() * 1000);

CREATE TABLE logged_experiment_tags (
    experiment INTEGER NOT NULL REFERENCES logged_experiments (id),
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    PRIMARY KEY (experiment, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_runs (
    id         INTEGER NOT NULL PRIMARY KEY, -- short, for the tables below
    run_id     TEXT    NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES logged_experiments (id),
    name       TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    status     TEXT    NOT NULL, -- RUNNING | SCHEDULED | FINISHED | FAILED | KILLED
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    deleted_at INTEGER           -- NULL while it is there
) STRICT;

CREATE INDEX logged_runs_by_start ON logged_runs (experiment, started_at DESC, run_id);

CREATE TABLE logged_params (
    run   INTEGER NOT NULL REFERENCES logged_runs (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_tags (
    run   INTEGER NOT NULL REFERENCES logged_runs (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

-- Every point once: a point that is logged twice is one. In the order in which histories are read.
CREATE TABLE logged_metrics (
    run    INTEGER NOT NULL REFERENCES logged_runs (id),
    key    TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    value  REAL    NOT NULL, -- 0 where it is no number
    is_nan INTEGER NOT NULL, -- SQLite keeps no NaN
    PRIMARY KEY (run, key, at, step, value, is_nan)
) STRICT, WITHOUT ROWID;

-- The point of the highest step, of each metric: what searches compare.
CREATE TABLE logged_latest (
    run    INTEGER NOT NULL REFERENCES logged_runs (id),
    key    TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    value  REAL    NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
