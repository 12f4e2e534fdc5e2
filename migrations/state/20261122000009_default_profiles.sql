-- The profile that a pipeline's runs use where they do not say, in place of the one in its file.
CREATE TABLE default_profiles (
    pipeline    TEXT    NOT NULL PRIMARY KEY,
    profile     TEXT    NOT NULL,
    switched_at INTEGER NOT NULL -- milliseconds since 1970-01-01T00:00:00Z
) STRICT, WITHOUT ROWID;
