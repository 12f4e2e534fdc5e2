-- Whether it was looked at how an image looks: 1 also where it looks like nothing.
ALTER TABLE media ADD COLUMN looked INTEGER NOT NULL DEFAULT 0 CHECK (looked IN (0, 1));
UPDATE media SET looked = 1 WHERE look IS NOT NULL;
CREATE INDEX media_not_looked_at ON media (content) WHERE looked = 0;
