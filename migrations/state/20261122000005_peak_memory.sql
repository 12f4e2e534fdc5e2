-- The most resident memory, in bytes, that the processes of an attempt held together; NULL for an
-- attempt without a process of its own.
-- `error_code` may also be `stalled`, `out_of_memory`, `exit:CODE` of a program, or a class that an
-- operator gives: `unreachable`, `disk_full`.
ALTER TABLE attempts ADD COLUMN peak_bytes INTEGER;
