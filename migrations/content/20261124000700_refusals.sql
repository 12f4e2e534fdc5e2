-- Communities that the source does not show: private, banned, gone. Each is asked again, ever more
-- seldom, until it answers.
CREATE TABLE refusals (
    dataset   TEXT    NOT NULL,
    community TEXT    NOT NULL, -- in small letters
    since     INTEGER NOT NULL, -- when it was refused first, in the source's time
    times     INTEGER NOT NULL, -- how often in a row
    again_at  INTEGER NOT NULL, -- not asked before, in the source's time
    why       TEXT    NOT NULL, -- what was answered last
    PRIMARY KEY (dataset, community)
) STRICT, WITHOUT ROWID;

-- Data sets with records of which models may be made by permission only, whatever the settings say
-- of their source later.
CREATE TABLE by_permission (
    dataset TEXT    NOT NULL PRIMARY KEY,
    since   INTEGER NOT NULL -- when the first came, or 0 where that was before this was noted
) STRICT, WITHOUT ROWID;

-- Nobody has noted where those came from that are here.
INSERT INTO by_permission (dataset, since)
SELECT 'reddit', 0 WHERE EXISTS (SELECT 1 FROM records WHERE dataset = 'reddit');
