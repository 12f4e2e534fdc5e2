-- What became of each reading that was due at an age of its record.
CREATE TABLE due_readings (
    dataset   TEXT    NOT NULL,
    record_id TEXT    NOT NULL,
    age       INTEGER NOT NULL, -- the age at which it was due, in milliseconds
    tolerance INTEGER NOT NULL, -- how much later it counted as made in time
    state     TEXT    NOT NULL CHECK (state IN ('read', 'late', 'absent')),
    read_at   INTEGER NOT NULL, -- when it was made, or asked for in vain; in the source's time
    run_id    TEXT    NOT NULL,
    PRIMARY KEY (dataset, record_id, age),
    FOREIGN KEY (dataset, record_id) REFERENCES records (dataset, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- When a community's newest records were walked down to what was known, whether there were any.
CREATE TABLE walks (
    dataset   TEXT    NOT NULL,
    community TEXT    NOT NULL, -- in small letters
    walked_at INTEGER NOT NULL, -- the last time, in the source's time
    PRIMARY KEY (dataset, community)
) STRICT, WITHOUT ROWID;

-- Stretches of publication in which records may have been missed: the source showed no further
-- back.
CREATE TABLE gaps (
    dataset   TEXT    NOT NULL,
    community TEXT    NOT NULL,
    gap_from  INTEGER NOT NULL, -- up to here everything was known
    gap_to    INTEGER NOT NULL, -- the oldest record that the source still showed
    found_at  INTEGER NOT NULL,
    run_id    TEXT    NOT NULL,
    PRIMARY KEY (dataset, community, gap_from)
) STRICT, WITHOUT ROWID;
