-- What tenants' statements see is decided here, by row-level security, not by whoever passes the statement on.
--
-- A statement of a tenant runs under a role of its own, in a transaction that carries a claim: the instances that the
-- caller sees, and when the transaction began, signed with a key that only the owner reads. A statement that
-- changes the setting cannot sign what it writes, and a claim of another transaction is none: without
-- one that holds, nothing is visible.
CREATE FUNCTION millpond.visible_instances() RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text := current_setting('millpond.scope', true);
    claim text := substr(token, 66);
    key   text;
BEGIN
    IF token IS NULL OR length(token) < 70 THEN
        RETURN '{}';
    END IF;
    SELECT s.value INTO key FROM millpond.secret s WHERE s.name = 'scope_key';
    IF key IS NULL
       OR split_part(claim, ' ', 1) <> (extract(epoch FROM now()) * 1000000)::bigint::text
       OR left(token, 64) <> encode(sha256(convert_to(key || 'outer', 'UTF8')
            || sha256(convert_to(key || 'inner', 'UTF8') || convert_to(claim, 'UTF8'))), 'hex')
    THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT jsonb_array_elements_text(substr(claim, strpos(claim, ' ') + 1)::jsonb));
END $$;

-- Other roles that were let in by an administrator go on seeing everything: the policy for tenants is a restriction
-- of their role alone.
DO $$
DECLARE
    t text;
BEGIN
    FOR t IN
        SELECT format('%I.%I', n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'millpond.record'::regclass)
            OR (n.nspname = 'millpond' AND c.relname = ANY ('{change,fetch_queue,instance,job,missing,quarantine,record,record_fetch,record_version,run,snapshot,watermark}'))
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY everyone ON %s USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;
