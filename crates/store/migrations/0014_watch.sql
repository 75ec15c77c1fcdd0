-- What a watched listing came to per record when that record was last fetched: the next look compares with this, so
-- that whatever waits for its turn stays different, and none is lost.
CREATE TABLE millpond.watch_item (
    instance   text NOT NULL,
    watch      text NOT NULL,             -- CONNECTOR.NAME, as its job
    item       text NOT NULL,             -- the record's id
    totals     text[] NOT NULL,           -- in the order in which the connector names them; empty: it has no lines
    fetched_at timestamptz,               -- NULL: known from the first look only
    tried_at   timestamptz,               -- when it was its turn last, also if that failed
    PRIMARY KEY (instance, watch, item)
);
