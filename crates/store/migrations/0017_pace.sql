-- How many calls of a connection may be on the wire at once, in all processes together, and low classes spread over
-- the window, so that a slot for a reader is always about to be free.

-- Whether a slot was granted out of the even flow of the low classes, and when by the flow's own clock: it lags behind
-- by two steps or a quarter of a second at the most, so that takers who come a little late lose nothing.
ALTER TABLE millpond.budget_slot ADD COLUMN paced boolean NOT NULL DEFAULT false;
ALTER TABLE millpond.budget_slot ADD COLUMN taken_at timestamptz;

-- As the function of the same name with one argument less, and:
-- - No more than `at_once` permits of a connection are held at a time (NULL: any number); history leaves one of three or
--   more to others. A permit is held as long as its slot is free later than one window from now. A connection
--   without a limit has as many slots as calls at once, each free as soon as its permit is given back.
-- - Of what low classes may use of a window they take a quarter as they like, and the rest evenly spread.
CREATE FUNCTION millpond.take_permits(
    for_instance text, for_class smallint, want integer, hold interval, reserve_share real, at_once integer
) RETURNS TABLE (connection text, slot integer, permit bigint, wait_ms bigint, why text)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at          timestamptz;
    c           record;
    u           record;
    granted     integer := 0;
    chosen      text;
    chosen_slot integer;
    chosen_free double precision;
    chosen_window interval;
    chosen_probe boolean;
    chosen_paced boolean;
    chosen_at   timestamptz;
    flow_at     timestamptz;
    effective   integer;
    cap         integer;
    evenly      integer;
    paced       boolean;
    reserve     integer;
    free        integer;
    wire_max    integer;
    candidates  integer;
    soonest     timestamptz;
    candidate   timestamptz;
    number      bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('millpond.budget:' || for_instance, 0));
    at := clock_timestamp();
    wire_max := CASE WHEN for_class >= 5 AND at_once >= 3 THEN at_once - 1 ELSE at_once END;

    -- Slots of connections that are new, whose limit grew, or that a crash emptied.
    FOR c IN
        SELECT k.name, coalesce(k.calls, at_once) AS calls, k.window_ms, r.connection IS NULL OR k.calls IS NULL AS is_new,
               (SELECT count(*) FROM millpond.budget_slot s
                 WHERE s.instance = k.instance AND s.connection = k.name) AS slots
        FROM millpond.connection k
        LEFT JOIN millpond.budget_ready r ON r.instance = k.instance AND r.connection = k.name
        WHERE k.instance = for_instance AND coalesce(k.calls, at_once) IS NOT NULL
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
            SELECT k.name, coalesce(k.calls, at_once) AS calls, k.calls IS NOT NULL AS is_limited,
                   CASE WHEN k.calls IS NULL THEN interval '0' ELSE k.window_ms * interval '1 millisecond' END AS window_,
                   k.parked_until, k.set_aside_at IS NOT NULL AS probe, k.share,
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
                    chosen := c.name; chosen_slot := NULL; chosen_free := 1; chosen_window := c.window_;
                    chosen_probe := c.probe; chosen_paced := false; chosen_at := at;
                END IF;
                CONTINUE;
            END IF;
            SELECT count(*) AS used, count(*) FILTER (WHERE s.class >= 4) AS low,
                   count(*) FILTER (WHERE s.class >= 4 AND NOT s.paced) AS low_at_will,
                   -- A slot that was given back is free within a thousandth more than its window.
                   count(*) FILTER (WHERE s.free_at > at + c.window_ * 1.01) AS on_wire,
                   max(s.taken_at) FILTER (WHERE s.paced) AS paced_at
            INTO u
            FROM millpond.budget_slot s
            WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at > at;
            IF u.on_wire >= wire_max THEN
                -- Nobody knows when a call ends: another process's end is seen when we look again.
                soonest := least(soonest, at + interval '100 milliseconds');
                CONTINUE;
            END IF;
            effective := CASE WHEN c.is_limited
                THEN greatest(1, floor(c.calls * c.share * coalesce(c.learned, 1))::integer) ELSE c.calls END;
            paced := false;
            flow_at := at;
            IF for_class >= 4 AND c.is_limited THEN
                cap := greatest(1, effective - floor(effective * reserve_share)::integer);
                evenly := cap - greatest(1, cap / 4);
                IF u.low_at_will >= cap - evenly THEN
                    paced := true;
                    IF evenly > 0 THEN
                        candidate := u.paced_at + c.window_ / evenly;
                        flow_at := greatest(coalesce(candidate, at), at - greatest(2 * c.window_ / evenly, interval '250 milliseconds'));
                    ELSE
                        SELECT min(s.free_at) INTO candidate FROM millpond.budget_slot s
                        WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at > at AND s.class >= 4;
                    END IF;
                    IF candidate > at THEN
                        -- Quick flows come by handfuls: asking for each call by itself would keep the database busy.
                        soonest := least(soonest, greatest(candidate, at + least(c.window_ / 20, interval '100 milliseconds')));
                        CONTINUE;
                    END IF;
                END IF;
            END IF;
            reserve := CASE WHEN c.is_limited THEN floor(effective * reserve_share * for_class / 5.0)::integer ELSE 0 END;
            IF for_class >= 3 AND u.low < ceil(effective * 0.05) THEN
                reserve := 0;
            END IF;
            free := effective - u.used;
            IF free > reserve THEN
                IF (free - reserve)::double precision / effective > chosen_free THEN
                    SELECT s.slot INTO chosen_slot FROM millpond.budget_slot s
                    WHERE s.instance = for_instance AND s.connection = c.name AND s.free_at <= at
                    ORDER BY s.free_at, s.slot LIMIT 1;
                    IF FOUND THEN
                        chosen := c.name; chosen_free := (free - reserve)::double precision / effective;
                        chosen_window := c.window_; chosen_probe := c.probe; chosen_paced := paced;
                        chosen_at := flow_at;
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
            SET free_at = at + hold + chosen_window, class = for_class, permit = number, paced = chosen_paced, taken_at = chosen_at
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

-- Ends a permit's hold: the slot is free one window from now, or at once if no call was made or there is no limit.
CREATE OR REPLACE FUNCTION millpond.give_back_permit(
    for_instance text, for_connection text, for_slot integer, for_permit bigint, was_used boolean, was_good boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE millpond.budget_slot s
    SET free_at = CASE WHEN was_used
        THEN clock_timestamp() + coalesce((SELECT CASE WHEN k.calls IS NULL THEN interval '0'
                                                       ELSE k.window_ms * interval '1.001 millisecond' END
                                           FROM millpond.connection k
                                           WHERE k.instance = for_instance AND k.name = for_connection), interval '0')
        ELSE clock_timestamp() END,
        -- What was not called needs no pause after it.
        taken_at = CASE WHEN was_used THEN s.taken_at END
    WHERE s.instance = for_instance AND s.connection = for_connection AND s.slot = for_slot AND s.permit = for_permit;
    IF was_good THEN
        -- A refused key that answers again is good again.
        UPDATE millpond.connection k
        SET set_aside_at = NULL, set_aside_why = NULL, refusals = 0, probe_at = NULL
        WHERE k.instance = for_instance AND k.name = for_connection AND k.set_aside_at IS NOT NULL;
    END IF;
END $$;

-- Holds permits for so much longer: their calls are still on the wire. One that was given back meanwhile stays so.
CREATE FUNCTION millpond.hold_permits(for_instance text, permits bigint[], hold interval) RETURNS void
    LANGUAGE sql AS $$
    UPDATE millpond.budget_slot s SET free_at = clock_timestamp() + hold + k.window_
    FROM (SELECT name, CASE WHEN calls IS NULL THEN interval '0' ELSE window_ms * interval '1 millisecond' END AS window_
          FROM millpond.connection WHERE instance = for_instance) k
    WHERE s.instance = for_instance AND s.permit = ANY(permits) AND s.connection = k.name
      AND s.free_at > clock_timestamp() + k.window_ * 1.01
$$;
