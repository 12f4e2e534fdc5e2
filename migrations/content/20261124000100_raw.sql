-- What a source sent of a record when it was first seen, as it came. It goes with its record, or
-- earlier where retention says so.
CREATE TABLE raw (
    dataset     TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    received_at INTEGER NOT NULL, -- first sight, in the source's time
    stored_at   INTEGER NOT NULL, -- when this row was written: what retention goes by
    body        BLOB    NOT NULL, -- JSON, as one frame of zstd
    tells_of    TEXT,             -- JSON list: ids and authors of other records whose text it has
    PRIMARY KEY (dataset, record_id),
    FOREIGN KEY (dataset, record_id) REFERENCES records (dataset, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX raw_by_age ON raw (stored_at);
-- Few records tell of others; a purge asks which.
CREATE INDEX raw_with_others ON raw (dataset, record_id) WHERE tells_of IS NOT NULL;

-- By data set: what was stored before this moment was removed by retention.
CREATE TABLE raw_dropped (
    dataset TEXT    NOT NULL PRIMARY KEY,
    before  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
