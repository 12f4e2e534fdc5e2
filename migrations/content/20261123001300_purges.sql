-- Records that are to be gone everywhere, from the moment that this was decided until nothing of
-- them is left. The keyed hash of their ids stays in `purged`.
CREATE TABLE purges (
    dataset   TEXT    NOT NULL,
    record_id TEXT    NOT NULL,
    cause     TEXT    NOT NULL, -- in words: a person's wish, or what the source said
    traces    TEXT    NOT NULL, -- object: what the record is found by outside its own rows
    noted_at  INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (dataset, record_id)
) STRICT, WITHOUT ROWID;

-- Since when bytes of removed rows may lie in free pages, and when there were last none.
CREATE TABLE scrubs (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    due_since INTEGER,
    done_at   INTEGER
) STRICT;
