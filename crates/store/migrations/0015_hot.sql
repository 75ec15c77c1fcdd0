-- What processes with a cache tell each other.

-- Rows that a write to upstream has overtaken: their hot values end like those of changed rows. Read beside
-- millpond.change, in one order with it.
CREATE TABLE millpond.overtaken (
    seq      bigint GENERATED ALWAYS AS IDENTITY,
    tx       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT now(),
    resource text NOT NULL,
    instance text NOT NULL,
    id       text NOT NULL
);
CREATE INDEX overtaken_feed ON millpond.overtaken (tx, seq);

-- Hot values that somebody read lately, and when each runs out. Losing it costs a miss or two.
CREATE UNLOGGED TABLE millpond.hot_read (
    instance    text NOT NULL,
    resource    text NOT NULL,
    id          text NOT NULL,
    record      text NOT NULL,            -- the record whose payload it is; its own id if it is a record
    as_of       timestamptz NOT NULL,     -- the row that was read
    due_at      timestamptz NOT NULL,     -- when it runs out
    read_at     timestamptz NOT NULL,
    taken_until timestamptz,              -- a worker is at it until then
    PRIMARY KEY (instance, resource, id)
) WITH (fillfactor = 80);
CREATE INDEX hot_read_due ON millpond.hot_read (instance, due_at);
