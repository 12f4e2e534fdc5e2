-- How an image looks: the 64 bits of its dHash, by which reposts with other bytes are found. NULL
-- where it has one colour, was never decoded, or was stored before looks were.
ALTER TABLE media ADD COLUMN look INTEGER;
