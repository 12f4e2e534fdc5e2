-- Up to where the files of a source were read; written with the page that was read last.
CREATE TABLE file_cursors (
    dataset      TEXT    NOT NULL,
    choice       TEXT    NOT NULL, -- which records were wanted; empty for all
    file         TEXT    NOT NULL, -- its path
    as_of        INTEGER NOT NULL, -- the moment for which it was read
    size         INTEGER NOT NULL, -- which file it was: its length in bytes, …
    modified     INTEGER NOT NULL, -- … when it was changed last, in nanoseconds since 1970, …
    head         BLOB    NOT NULL, -- … and the SHA-256 of its first 64 KiB
    tail         BLOB    NOT NULL, -- … and of its last 64 KiB
    read_to      INTEGER NOT NULL, -- what is before this is read: decoded bytes, or rows
    lines        INTEGER NOT NULL, -- how many lines that is
    start_raw    INTEGER NOT NULL, -- where decoding begins to come there: bytes of the file, …
    start_offset INTEGER NOT NULL, -- … and what `read_to` counts before them
    PRIMARY KEY (dataset, choice, file)
) STRICT, WITHOUT ROWID;
