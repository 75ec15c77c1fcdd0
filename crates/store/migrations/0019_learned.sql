-- What was learned of how often records change and are read: who deserves the next call. Losing it costs calls, no data.

CREATE TABLE millpond.learned (
    instance    text NOT NULL,
    resource    text NOT NULL,
    id          text NOT NULL,
    record      text NOT NULL,            -- the record whose payload it is; its own id if it is a record
    version     bigint NOT NULL,          -- of the row that was seen last
    fetched_at  timestamptz NOT NULL,     -- when upstream was last known to say what that row says
    events      real NOT NULL,            -- changes seen, the prior's included
    exposure    real NOT NULL,            -- in so many operational seconds
    age         real NOT NULL,            -- of the last known change at fetched_at, in seconds
    reads       real NOT NULL,            -- fading, as of read_at
    read_at     timestamptz NOT NULL,
    ttl_ms      bigint,                   -- its lifetime by the TTL tables; NULL: not kept hot
    decision    text,                     -- what was decided for the last reader
    decided_at  timestamptz,
    saved_by    text NOT NULL,            -- the process that saved it last
    saved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_until timestamptz,              -- a process fetches it until then
    PRIMARY KEY (instance, resource, id)
) WITH (fillfactor = 80);
CREATE INDEX learned_saved ON millpond.learned (instance, saved_at);

-- What was learned over all records of an instance together, in the words of the crate that decides.
CREATE TABLE millpond.learned_together (
    instance text PRIMARY KEY,
    state    bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
