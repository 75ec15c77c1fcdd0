-- Takes up to `want` permits for one instance, from the connections that have most left.
--
-- Rows with a connection are permits. A single row without one says how long to wait
-- (wait_ms; NULL: no connection may call at all, and `why` says so).
--
-- A slot is held pessimistically until `hold` and one window have passed; giving the permit
-- back sets the real end. Calls of low classes leave a reserve to those above, and keep a floor
-- of their own, so that nobody starves.
CREATE FUNCTION millpond.take_permits(
    for_instance text, for_class smallint, want integer, hold interval, reserve_share real
) RETURNS TABLE (connection text, slot integer, permit bigint, wait_ms bigint, why text)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at          timestamptz;
    c           record;
    granted     integer := 0;
    chosen      text;
    chosen_slot integer;
    chosen_free double precision;
    chosen_window interval;
    chosen_probe boolean;
    effective   integer;
    used        integer;
    used_low    integer;
    reserve     integer;
    free        integer;
    candidates  integer;
    soonest     timestamptz;
    candidate   timestamptz;
    number      bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('millpond.budget:' || for_instance, 0));
    at := clock_timestamp();

    -- Slots of connections that are new, whose limit grew, or that a crash emptied.
    FOR c IN
        SELECT k.name, k.calls, k.window_ms, r.connection IS NULL AS is_new,
               (SELECT count(*) FROM millpond.budget_slot s
                 WHERE s.instance = k.instance AND s.connection = k.name) AS slots
        FROM millpond.connection k
        LEFT JOIN millpond.budget_ready r ON r.instance = k.instance AND r.connection = k.name
        WHERE k.instance = for_instance AND k.calls IS NOT NULL
    LOOP
        IF c.slots < c.calls THEN
            INSERT INTO millpond.budget_slot (instance, connection, slot, free_at, class, permit)
            SELECT for_instance, c.name, n,
                   CASE WHEN c.is_new OR c.slots > 0 THEN at ELSE at + c.window_ms * interval '1 millisecond' END, 0, 0
            FROM generate_series(0, c.calls - 1) n
            ON CONFLICT DO NOTHING;
            INSERT INTO millpond.budget_ready VALUES (for_instance, c.name) ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;

    WHILE granted < want LOOP
        chosen := NULL;
        chosen_free := -1;
        candidates := 0;
        soonest := NULL;
        FOR c IN
            SELECT k.name, k.calls, k.window_ms * interval '1 millisecond' AS window_, k.parked_until,
                   k.set_aside_at IS NOT NULL AS probe, k.share,
                   -- What throttling taught wears off by a tenth of the limit in ten windows.
                   least(1, k.learned + 0.1 * floor(extract(epoch FROM at - k.learned_at) * 1000 / (k.window_ms * 10.0))) AS learned,
                   CASE WHEN k.set_aside_at IS NOT NULL THEN k.probe_at END AS probe_at
            FROM millpond.connection k
            WHERE k.instance = for_instance AND k.enabled
            ORDER BY k.name
        LOOP
            candidate := greatest(c.parked_until, c.probe_at);
            IF candidate > at THEN
                -- A refused key is tried again in time, but nobody waits for that.
                IF NOT c.probe THEN
                    candidates := candidates + 1;
                    soonest := least(soonest, candidate);
                END IF;
                CONTINUE;
            END IF;
            candidates := candidates + 1;
            IF c.calls IS NULL THEN
                IF chosen_free < 1 OR random() < 1.0 / candidates THEN
                    chosen := c.name; chosen_slot := NULL; chosen_free := 1; chosen_window := c.window_; chosen_probe := c.probe;
                END IF;
                CONTINUE;
            END IF;
            effective := greatest(1, floor(c.calls * c.share * coalesce(c.learned, 1))::integer);
            SELECT count(*), count(*) FILTER (WHERE s.class >= 4) INTO used, used_low
            FROM millpond.budget_slot s
            WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at > at;
            reserve := floor(effective * reserve_share * for_class / 5.0)::integer;
            IF for_class >= 3 AND used_low < ceil(effective * 0.05) THEN
                reserve := 0;
            END IF;
            free := effective - used;
            IF free > reserve THEN
                IF (free - reserve)::double precision / effective > chosen_free THEN
                    SELECT s.slot INTO chosen_slot FROM millpond.budget_slot s
                    WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at <= at
                    ORDER BY s.free_at, s.slot LIMIT 1;
                    IF FOUND THEN
                        chosen := c.name; chosen_free := (free - reserve)::double precision / effective;
                        chosen_window := c.window_; chosen_probe := c.probe;
                    END IF;
                END IF;
            ELSE
                SELECT s.free_at INTO candidate FROM millpond.budget_slot s
                WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at > at
                ORDER BY s.free_at OFFSET (reserve - free) LIMIT 1;
                soonest := least(soonest, candidate);
            END IF;
        END LOOP;

        IF chosen IS NULL THEN
            IF granted = 0 THEN
                RETURN QUERY SELECT NULL::text, NULL::integer, NULL::bigint,
                    CASE WHEN candidates > 0 THEN greatest(1, ceil(extract(epoch FROM coalesce(soonest, at + interval '1 second') - at) * 1000))::bigint END,
                    CASE WHEN candidates = 0 THEN
                        coalesce((SELECT string_agg(k.name || ': ' || CASE WHEN NOT k.enabled THEN 'disabled'
                                    ELSE 'set aside, ' || coalesce(k.set_aside_why, 'refused') END, '; ' ORDER BY k.name)
                                  FROM millpond.connection k WHERE k.instance = for_instance), 'it has none') END;
            END IF;
            RETURN;
        END IF;

        number := nextval('millpond.permit_seq');
        IF chosen_slot IS NOT NULL THEN
            UPDATE millpond.budget_slot s
            SET free_at = at + hold + chosen_window, class = for_class, permit = number
            WHERE s.instance = for_instance AND s.connection = chosen AND s.slot = chosen_slot;
        END IF;
        IF chosen_probe THEN
            UPDATE millpond.connection k
            SET probe_at = at + least(interval '1 hour', interval '1 minute' * power(2, least(k.refusals, 10)))
            WHERE k.instance = for_instance AND k.name = chosen;
        END IF;
        granted := granted + 1;
        RETURN QUERY SELECT chosen, chosen_slot, number, NULL::bigint, NULL::text;
    END LOOP;
END $$;

-- Ends a permit's hold: the slot is free one window from now, or at once if no call was made.
CREATE FUNCTION millpond.give_back_permit(
    for_instance text, for_connection text, for_slot integer, for_permit bigint, was_used boolean, was_good boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE millpond.budget_slot s
    SET free_at = CASE WHEN was_used
        THEN clock_timestamp() + coalesce((SELECT k.window_ms * interval '1.001 millisecond' FROM millpond.connection k
                                  WHERE k.instance = for_instance AND k.name = for_connection), interval '0')
        ELSE clock_timestamp() END
    WHERE s.instance = for_instance AND s.connection = for_connection AND s.slot = for_slot AND s.permit = for_permit;
    IF was_good THEN
        -- A refused key that answers again is good again.
        UPDATE millpond.connection k
        SET set_aside_at = NULL, set_aside_why = NULL, refusals = 0, probe_at = NULL
        WHERE k.instance = for_instance AND k.name = for_connection AND k.set_aside_at IS NOT NULL;
    END IF;
END $$;
