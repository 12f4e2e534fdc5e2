-- Up to which time of publication every reading at an age is settled: made, asked for in vain or
-- given up. What is due is looked for above it, and not among all records.
CREATE TABLE settled_readings (
    dataset      TEXT    NOT NULL,
    age          INTEGER NOT NULL, -- the age at which readings are due, in milliseconds
    stands_until INTEGER NOT NULL, -- a reading up to this age stands for it
    given_up_at  INTEGER NOT NULL, -- the age at which it is not asked for any more
    settled_to   INTEGER NOT NULL, -- milliseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (dataset, age, stands_until, given_up_at)
) STRICT, WITHOUT ROWID;

-- A record that is found late has readings to come too.
CREATE TRIGGER settled_readings_new_record AFTER INSERT ON records
WHEN NEW.created_at IS NOT NULL
BEGIN
    UPDATE settled_readings SET settled_to = NEW.created_at - 1
    WHERE dataset = NEW.dataset AND settled_to >= NEW.created_at;
END;

CREATE TRIGGER settled_readings_other_time AFTER UPDATE OF created_at ON records
WHEN NEW.created_at IS NOT NULL AND NEW.created_at IS NOT OLD.created_at
BEGIN
    UPDATE settled_readings SET settled_to = NEW.created_at - 1
    WHERE dataset = NEW.dataset AND settled_to >= NEW.created_at;
END;
