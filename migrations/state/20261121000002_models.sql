-- The registry: every version ever made, and the names that point at one.

CREATE TABLE model_versions (
    name           TEXT    NOT NULL, -- the pipeline's name
    version        INTEGER NOT NULL, -- 1, 2, 3 … per name
    run_id         TEXT    NOT NULL, -- the run that made it
    created_at     INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    interval_start INTEGER NOT NULL,
    content_key    TEXT    NOT NULL, -- hash of row set, settings and encoders: equal means same model
    manifest       TEXT    NOT NULL, -- the manifest.json that lies beside the weights
    PRIMARY KEY (name, version),
    UNIQUE (name, content_key)
) STRICT, WITHOUT ROWID;

-- Runs that ended in a version that existed already, its maker included.
CREATE TABLE model_version_runs (
    run_id         TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    interval_start INTEGER NOT NULL,
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_aliases (
    name     TEXT    NOT NULL,
    alias    TEXT    NOT NULL, -- champion, …
    version  INTEGER NOT NULL,
    moved_at INTEGER NOT NULL,
    cause    TEXT    NOT NULL, -- in words: why it points here
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
) STRICT, WITHOUT ROWID;
