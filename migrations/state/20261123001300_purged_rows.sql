-- Rows that a model version had learned from or was measured by and that are purged since: the
-- keyed hash of the id, and nothing else of them.
CREATE TABLE model_purged_rows (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    id_hash BLOB    NOT NULL,
    part    TEXT    NOT NULL, -- train | validation | test
    PRIMARY KEY (name, version, id_hash),
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
