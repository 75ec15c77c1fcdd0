-- Snapshots that can be read again.
--
-- Each version says which transaction wrote it and which one ended it; each snapshot says which transactions were in,
-- and which runs were still under way. What was written before this is in every snapshot from now on; snapshots
-- from before do not say what was in and cannot be read.
ALTER TABLE millpond.record ADD COLUMN tx xid8 NOT NULL DEFAULT '0';
ALTER TABLE millpond.record ALTER COLUMN tx SET DEFAULT pg_current_xact_id();

ALTER TABLE millpond.record_version
    ADD COLUMN tx       xid8 NOT NULL DEFAULT '0',
    ADD COLUMN ended_tx xid8 NOT NULL DEFAULT '0',
    ADD COLUMN asked_at timestamptz;                      -- NULL: not known, kept before this was
ALTER TABLE millpond.record_version ALTER COLUMN ended_tx SET DEFAULT pg_current_xact_id();

ALTER TABLE millpond.run ADD COLUMN tx xid8 NOT NULL DEFAULT '0';
ALTER TABLE millpond.run ALTER COLUMN tx SET DEFAULT pg_current_xact_id();

ALTER TABLE millpond.snapshot
    ADD COLUMN txs          pg_snapshot,                  -- the transactions that are in; NULL: cannot be read
    ADD COLUMN open_runs    bigint[] NOT NULL DEFAULT '{}', -- of jobs: what they had brought is not in
    ADD COLUMN since        xid8,                         -- versions that an earlier transaction ended are not needed for it
    ADD COLUMN pinned_until timestamptz;                  -- the last end of its pins

-- Who needs a snapshot for longer than history is kept.
CREATE TABLE millpond.snapshot_pin (
    number bigint NOT NULL,
    holder text NOT NULL,
    until  timestamptz NOT NULL,
    PRIMARY KEY (number, holder)
);
CREATE INDEX snapshot_pin_until ON millpond.snapshot_pin (until);

-- Whether a version is in a snapshot: its transaction was, and the run that brought it was not still under way.
CREATE FUNCTION millpond.is_in(tx xid8, run bigint, txs pg_snapshot, open_runs bigint[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    pg_visible_in_snapshot(tx, txs) AND (run IS NULL OR run <> ALL (open_runs));

-- What was in at a snapshot, for SQL. Whoever may read records may read snapshots, also those of others' runs.
CREATE FUNCTION millpond.snapshot_in(wanted bigint, OUT txs pg_snapshot, OUT open_runs bigint[], OUT since xid8)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT s.txs, s.open_runs, s.since INTO txs, open_runs, since FROM millpond.snapshot s
     WHERE s.number = wanted AND pg_snapshot_xmax(s.txs) <= pg_snapshot_xmax(pg_current_snapshot());
    IF txs IS NULL THEN
        RAISE EXCEPTION 'there is no snapshot % that can be read', wanted
            USING ERRCODE = '22023', HINT = 'GET /v1/snapshots and `millpond snapshots` list them';
    END IF;
END $$;

-- The records of a resource as they were at a snapshot, without those that were gone by then.
CREATE FUNCTION millpond.records_at(of_resource text, at_snapshot bigint)
    RETURNS TABLE (instance text, id text, body jsonb, version bigint, upstream_at timestamptz, changed_at timestamptz, run bigint)
    LANGUAGE sql STABLE AS $$
    SELECT r.instance, r.id, r.body, r.version, r.upstream_at, r.changed_at, r.run
      FROM millpond.snapshot_in(at_snapshot) s CROSS JOIN LATERAL (
           SELECT c.instance, c.id, c.body, c.version, c.upstream_at, c.changed_at, c.run, c.deleted_at
             FROM millpond.record c
            WHERE c.resource = of_resource AND millpond.is_in(c.tx, c.run, s.txs, s.open_runs)
           UNION ALL
           SELECT v.instance, v.id, v.body, v.version, v.upstream_at, v.changed_at, v.run, v.deleted_at
             FROM millpond.record c CROSS JOIN LATERAL (
                  SELECT * FROM millpond.record_version v
                   WHERE v.resource = c.resource AND v.instance = c.instance AND v.id = c.id
                     AND millpond.is_in(v.tx, v.run, s.txs, s.open_runs)
                   ORDER BY v.version DESC LIMIT 1) v
            WHERE c.resource = of_resource AND c.tx >= s.since
              AND NOT millpond.is_in(c.tx, c.run, s.txs, s.open_runs)) r
     WHERE r.deleted_at IS NULL
$$;
