-- When the newest record of a data set came, without reading all of them.
CREATE INDEX records_by_arrival ON records (dataset, stored_at);
