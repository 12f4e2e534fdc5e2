-- Ids sort by age: a page of the newest runs, of all, of one pipeline or in one state, is read from
-- an index, whatever the number of past runs.
CREATE INDEX runs_by_pipeline_and_age ON runs (pipeline, id);
CREATE INDEX runs_by_state_and_age ON runs (state, id);
DROP INDEX runs_by_pipeline;
