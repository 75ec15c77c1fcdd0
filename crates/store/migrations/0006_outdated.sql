-- A write that went to upstream makes what the mirror has of a record wrong before it is fetched again. Answers that
-- were asked for up to then are outdated, also those still under way: they may be older than the write.
ALTER TABLE millpond.record_fetch ADD COLUMN outdated_at timestamptz;
