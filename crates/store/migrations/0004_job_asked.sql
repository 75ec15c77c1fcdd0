-- When a person wants a job to run next who said so while it was running: its end must not forget that.
ALTER TABLE millpond.job ADD COLUMN asked_at timestamptz;
