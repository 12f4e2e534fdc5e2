-- What the pipelines read and compute. Times are milliseconds since 1970-01-01T00:00:00Z,
-- hashes and fingerprints are the 32 bytes of a SHA-256.

-- One row of data: what does not change after publication.
CREATE TABLE records (
    dataset     TEXT    NOT NULL, -- the source's data set; ids are unique within it
    id          TEXT    NOT NULL,
    community   TEXT,
    author      TEXT,
    title       TEXT,
    created_at  INTEGER,          -- publication; NULL where the source does not say
    media       TEXT    NOT NULL, -- JSON list of places, in the author's order
    fields      TEXT    NOT NULL, -- JSON object: the source's other fields, by its own names
    observed_at INTEGER NOT NULL, -- first sight, in the source's time
    stored_at   INTEGER NOT NULL, -- when this row was written
    run_id      TEXT    NOT NULL, -- the run that first stored it
    PRIMARY KEY (dataset, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_by_time ON records (dataset, created_at, id);

-- Readings of a record's changing numbers; appended, never changed. A source that does not say
-- when it read keeps one row per record, the last one it gave.
CREATE TABLE observations (
    dataset     TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    observed_at INTEGER,          -- NULL where the source does not say
    age         INTEGER,          -- the record's age in milliseconds when it was read, or NULL
    score       REAL,
    "values"    TEXT    NOT NULL, -- JSON object: the other numbers
    stored_at   INTEGER NOT NULL,
    run_id      TEXT    NOT NULL,
    FOREIGN KEY (dataset, record_id) REFERENCES records (dataset, id) ON DELETE CASCADE
) STRICT;

CREATE UNIQUE INDEX observations_by_record
    ON observations (dataset, record_id, ifnull(observed_at, -1));

-- Up to where a newest-first walk has seen everything.
CREATE TABLE watermarks (
    dataset   TEXT    NOT NULL,
    community TEXT    NOT NULL,
    seen_to   INTEGER NOT NULL,
    PRIMARY KEY (dataset, community)
) STRICT, WITHOUT ROWID;

-- Images by content; the bytes lie under data/media.
CREATE TABLE media (
    content   BLOB    NOT NULL PRIMARY KEY,
    bytes     INTEGER NOT NULL,
    format    TEXT    NOT NULL, -- jpeg | png | webp | gif
    width     INTEGER NOT NULL, -- pixels, after orientation
    height    INTEGER NOT NULL,
    refs      INTEGER NOT NULL, -- how many places hold it; 0 means that it can be collected
    stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of each place of an image.
CREATE TABLE media_places (
    place    TEXT    NOT NULL PRIMARY KEY, -- URL, or path of a file
    state    TEXT    NOT NULL,             -- stored | refused | unavailable
    reason   TEXT,                         -- why it is not stored: gone, html, bomb, unreachable, …
    content  BLOB REFERENCES media (content),
    tried_at INTEGER NOT NULL,
    run_id   TEXT    NOT NULL,
    CHECK ((state = 'stored') = (content IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- What captioners wrote; keyed by what was read and by whom.
CREATE TABLE captions (
    fingerprint BLOB    NOT NULL,
    content     BLOB    NOT NULL, -- the image's hash
    caption     TEXT    NOT NULL,
    details     TEXT    NOT NULL, -- JSON: tags with scores, say
    computed_at INTEGER NOT NULL,
    run_id      TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, content)
) STRICT, WITHOUT ROWID;

-- Vectors; keyed by encoder and content, never by row position.
CREATE TABLE embeddings (
    fingerprint BLOB    NOT NULL,
    content     BLOB    NOT NULL, -- the hash of the text or the image
    kind        TEXT    NOT NULL, -- f16 | f32, little-endian
    vector      BLOB    NOT NULL,
    computed_at INTEGER NOT NULL,
    run_id      TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, content)
) STRICT, WITHOUT ROWID;

-- What a task has done for a run, counted in the same transaction as its batches.
CREATE TABLE task_progress (
    run_id        TEXT    NOT NULL,
    task_id       TEXT    NOT NULL,
    rows_computed INTEGER NOT NULL,
    bytes         INTEGER NOT NULL, -- read from outside
    PRIMARY KEY (run_id, task_id)
) STRICT, WITHOUT ROWID;

-- Predictions for records whose label was still to come.
CREATE TABLE predictions (
    dataset      TEXT    NOT NULL,
    record_id    TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    value        REAL    NOT NULL, -- on the training scale
    low          REAL    NOT NULL,
    high         REAL    NOT NULL,
    predicted_at INTEGER NOT NULL,
    run_id       TEXT    NOT NULL,
    PRIMARY KEY (dataset, record_id, model, version)
) STRICT, WITHOUT ROWID;

-- Keyed hashes of purged ids, so that no dump brings them back; nothing else is kept of them.
CREATE TABLE purged (
    id_hash   BLOB    NOT NULL PRIMARY KEY,
    purged_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
