-- How often in a row an image could not be had when it was asked for.
ALTER TABLE media_places ADD COLUMN tries INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0);
