-- Vectors lie in the order in which they were made: a batch is appended and those of a day lie
-- together. By the order of their hashes, which is none, every vector of a batch fell on another
-- page, and large rows made the tree deep. Only the index goes by hashes now.
CREATE TABLE embeddings_by_age (
    fingerprint BLOB    NOT NULL,
    content     BLOB    NOT NULL, -- the hash of the text or the image
    kind        TEXT    NOT NULL, -- f16 | f32, little-endian
    vector      BLOB    NOT NULL,
    computed_at INTEGER NOT NULL,
    run_id      TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, content)
) STRICT;
INSERT INTO embeddings_by_age SELECT * FROM embeddings ORDER BY computed_at;
DROP TABLE embeddings;
ALTER TABLE embeddings_by_age RENAME TO embeddings;
