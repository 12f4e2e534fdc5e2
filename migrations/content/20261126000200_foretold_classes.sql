-- Of a version that predicts classes: how probable each is, as a JSON object; then `value`, `low` and
-- `high` are those of the most probable one.
ALTER TABLE predictions ADD COLUMN classes TEXT;
