-- When both databases were written anew since bytes of removed rows may lie in free pages: then only
-- their logs are left to be emptied. NULL where they were not.
ALTER TABLE scrubs ADD COLUMN written_at INTEGER; -- milliseconds since 1970-01-01T00:00:00Z
