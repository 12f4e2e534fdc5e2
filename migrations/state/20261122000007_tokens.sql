-- What callers of the daemon's API prove themselves with. The token itself is shown once and never
-- stored: it is 256 random bits, so that its plain SHA-256 cannot be turned back.
CREATE TABLE tokens (
    name       TEXT    NOT NULL PRIMARY KEY, -- whom or what it is for
    hash       BLOB    NOT NULL UNIQUE,      -- SHA-256 of the token
    created_at INTEGER NOT NULL,
    revoked_at INTEGER                       -- NULL while it is good
) STRICT, WITHOUT ROWID;
