-- What happened, for people and programs that watch: runs, sweeps, connections, the cache. The latest are kept.
CREATE TABLE millpond.event (
    number   bigint GENERATED ALWAYS AS IDENTITY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    name     text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_-]*(:[a-z][a-z0-9_-]*)*$'),
    instance text NOT NULL DEFAULT '',          -- '' when it is about no instance
    data     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (number, instance)
);

-- Tells an event and wakes those who listen. The lock holds until the transaction ends, so that events come in in
-- the order of their numbers and nobody who reads by number misses one that commits late.
CREATE FUNCTION millpond.tell_event(event_name text, of_instance text, event_data jsonb, kept bigint) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    told bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('millpond.event', 0));
    INSERT INTO millpond.event (name, instance, data) VALUES (event_name, coalesce(of_instance, ''), event_data)
    RETURNING number INTO told;
    IF told % 256 = 0 THEN
        DELETE FROM millpond.event WHERE number <= told - kept;
    END IF;
    PERFORM pg_notify('millpond_event', told::text);
    RETURN told;
END $$;
