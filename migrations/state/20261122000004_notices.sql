-- What people are told, and up to where the engine's moves were looked through for it.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- One row per cause, from when it came until it was gone. A cause that stands is not told again.
CREATE TABLE notices (
    id         INTEGER NOT NULL PRIMARY KEY,
    cause      TEXT    NOT NULL, -- the kind, and what it is about: run_failed:reddit
    kind       TEXT    NOT NULL, -- run_failed, run_recovered, deadline_missed, …
    message    TEXT    NOT NULL, -- for people
    details    TEXT    NOT NULL, -- object: what a program may want to know
    times      INTEGER NOT NULL, -- how often it came while it stood
    raised_at  INTEGER NOT NULL,
    last_at    INTEGER NOT NULL, -- when it came last
    cleared_at INTEGER,          -- NULL: it stands
    pending    TEXT    NOT NULL, -- list of the ways on which it is still to be sent
    tries      INTEGER NOT NULL, -- how often sending failed
    next_try   INTEGER NOT NULL,
    sent_at    INTEGER,          -- when it was last sent on some way
    error      TEXT              -- why sending failed last
) STRICT;

CREATE UNIQUE INDEX notices_standing ON notices (cause) WHERE cleared_at IS NULL;
CREATE INDEX notices_pending ON notices (next_try) WHERE pending <> '[]';

-- The last transition that was looked at; there is one row once something was.
CREATE TABLE notice_cursor (
    one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    transition_id INTEGER NOT NULL
) STRICT;
