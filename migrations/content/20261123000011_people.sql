-- What was known of authors and communities, each time that it was read.
CREATE TABLE author_readings (
    dataset       TEXT    NOT NULL,
    author        TEXT    NOT NULL, -- the source's id of the account
    read_at       INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    name          TEXT,
    created_at    INTEGER,          -- when the account was made
    link_karma    REAL,
    comment_karma REAL,
    PRIMARY KEY (dataset, author, read_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE community_readings (
    dataset     TEXT    NOT NULL,
    community   TEXT    NOT NULL,
    read_at     INTEGER NOT NULL,
    subscribers REAL,
    PRIMARY KEY (dataset, community, read_at)
) STRICT, WITHOUT ROWID;
