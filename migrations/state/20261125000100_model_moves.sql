-- Where each alias has pointed, so that a rollback knows what was before, and why it moved.
CREATE TABLE model_alias_moves (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    alias      TEXT    NOT NULL,
    version    INTEGER,          -- where it points since; NULL: the alias was taken away
    moved_at   INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    how        TEXT    NOT NULL, -- published | promoted | rolled_back | set | removed
    cause      TEXT    NOT NULL, -- in words
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
) STRICT;

CREATE INDEX model_alias_moves_by_alias ON model_alias_moves (name, alias, id);

-- Until now the newest version was always the champion: where it had been is known by the versions.
INSERT INTO model_alias_moves (name, alias, version, moved_at, how, cause)
SELECT model_versions.name, 'champion', model_versions.version, model_versions.created_at,
       'published', 'the newest version with finite metrics'
FROM model_versions JOIN model_aliases AS champion
  ON champion.name = model_versions.name AND champion.alias = 'champion'
 AND model_versions.version <= champion.version
ORDER BY model_versions.created_at, model_versions.version;

CREATE TABLE model_tags (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
) STRICT, WITHOUT ROWID;

-- A version whose files were removed keeps its row: metrics are kept for ever.
ALTER TABLE model_versions ADD COLUMN removed_at INTEGER;
