-- How records of a live source stood there when it was last asked about them.
CREATE TABLE standings (
    dataset      TEXT    NOT NULL,
    record_id    TEXT    NOT NULL,
    checked_at   INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    absent_since INTEGER,          -- when it was first absent from an answer; NULL while it is there
    removed      TEXT,             -- why it was taken away there and is kept here untrained on
    PRIMARY KEY (dataset, record_id),
    FOREIGN KEY (dataset, record_id) REFERENCES records (dataset, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
