-- When the rows of a purge went; NULL before. A run that began earlier may have read them.
ALTER TABLE purges ADD COLUMN removed_at INTEGER; -- milliseconds since 1970-01-01T00:00:00Z
