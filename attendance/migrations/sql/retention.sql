-- What is older than its tenant's retention goes, and leaves one row in the employee's chain, from which that can still
-- be verified: docs/adr/0015-retention.md. Can be run again.
SET LOCAL lock_timeout = '5s';

-- Whether a state that the history tells, if any, lies wholly before an instant. Texts as utc_text() writes them sort
-- as their instants do.
CREATE OR REPLACE FUNCTION is_before(state jsonb, edge timestamptz) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN state IS NULL OR coalesce(
        (state ->> 'start_time') COLLATE "C" < utc_text(edge)
            AND coalesce(state ->> 'end_time', state ->> 'start_time') COLLATE "C" <= utc_text(edge),
        false
    );

-- The work sessions of an employee that lie wholly before an instant and have ended, and the deleted ones of which
-- history is left that was written before it. Neither if the history tells of any state that was younger: nobody gets
-- rid of a work session by moving it into the past.
CREATE OR REPLACE FUNCTION expired_work_sessions(employee bigint, edge timestamptz)
    RETURNS TABLE (id bigint, started timestamptz, is_there boolean)
    LANGUAGE sql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
    SELECT old.id, old.started, old.is_there
    FROM (
        SELECT s.id, s.start_time, true
        FROM work_sessions AS s
        WHERE s.user_id = employee AND s.start_time < edge AND (s.end_time <= edge OR s.end_unknown)
        UNION ALL
        SELECT
            h.work_session_id, min((coalesce(h.before, h.after) ->> 'start_time')::timestamptz), false
        FROM work_session_history AS h
        WHERE h.user_id = employee AND h.work_session_id IS NOT NULL
            -- Times rise with the numbers: what comes after the first young row need not be read.
            AND h.seq < coalesce(
                (
                    SELECT young.seq FROM work_session_history AS young
                    WHERE young.user_id = employee AND young.at >= edge ORDER BY young.seq LIMIT 1
                ),
                2147483647
            )
            AND NOT EXISTS (SELECT FROM work_sessions AS s WHERE s.id = h.work_session_id)
        GROUP BY h.work_session_id
    ) AS old (id, started, is_there)
    WHERE NOT EXISTS (
        SELECT FROM work_session_history AS h
        WHERE h.work_session_id = old.id AND NOT (is_before(h.before, edge) AND is_before(h.after, edge))
    )
$body$;

-- Work sessions that came with one row of history, as they came: before the first later change, or as they are.
CREATE OR REPLACE FUNCTION imported_first_states(entry work_session_history, ids int8multirange)
    RETURNS TABLE (id bigint, state bytea)
    LANGUAGE sql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
    SELECT
        came.id,
        CASE
            WHEN later.before IS NULL
                THEN work_session_bytes(s.id, s.start_time, s.end_time, s.end_unknown, s.created_at)
            ELSE work_session_bytes(
                came.id,
                (later.before ->> 'start_time')::timestamptz,
                (later.before ->> 'end_time')::timestamptz,
                (later.before ->> 'end_unknown')::boolean,
                (later.before ->> 'created_at')::timestamptz
            )
        END
    FROM unnest(ids) AS span
    CROSS JOIN generate_series(lower(span), upper(span) - 1) AS came (id)
    LEFT JOIN work_sessions AS s ON s.id = came.id AND s.user_id = (entry).user_id
    LEFT JOIN LATERAL (
        SELECT h.before
        FROM work_session_history AS h
        -- The beginning of a history comes first, though rows were written before it was recorded.
        WHERE h.work_session_id = came.id AND h.user_id = (entry).user_id
            AND h.seq > CASE (entry).door WHEN 'migration' THEN 0 ELSE (entry).seq END
        ORDER BY h.seq
        LIMIT 1
    ) AS later ON true
$body$;

-- Removes the oldest expired work sessions of an employee, the history of them that was written before the same
-- instant, and rows that told of imports of which nothing is left. Leaves a row `purge` at the end of the chain and
-- returns what it says, null if there was nothing to remove. What is expired is for the tenant's retention and
-- PostgreSQL's clock to say; fails if the history that would go is not as it was written.
CREATE OR REPLACE FUNCTION purge_work_sessions(employee bigint, run text, at_most integer) RETURNS jsonb
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
    -- A plan is made once a connection, perhaps while the table has ten rows, and kept for all that follows.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET jit = off
AS $body$
DECLARE
    who record := who_purges();
    rule record;
    chosen bigint[];
    deleted bigint[];
    chosen_ids int8multirange;
    entry work_session_history;
    known jsonb;
    came int8multirange;
    compared record;
    imports jsonb := '[]';
    gone integer[] := '{}';
    sessions record;
    head record;
    told jsonb;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'records are removed at the isolation level READ COMMITTED only';
    END IF;
    -- From here on nobody writes a work session of this employee, nor another row of their history.
    PERFORM FROM users WHERE id = employee FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    rule := retention_of((SELECT tenant_id FROM users WHERE id = employee));

    -- Who is correcting one holds its row and waits for the employee: waiting for the row would be a deadlock. It
    -- goes the next time.
    SELECT
        coalesce(array_agg(e.id) FILTER (WHERE e.is_there), '{}'),
        coalesce(array_agg(e.id) FILTER (WHERE NOT e.is_there), '{}')
    INTO chosen, deleted
    FROM (
        SELECT id, is_there FROM expired_work_sessions(employee, rule.edge) ORDER BY started, id LIMIT at_most
    ) AS e;
    chosen := deleted || ARRAY(
        SELECT id FROM work_sessions WHERE id = ANY (chosen) FOR UPDATE SKIP LOCKED
    );
    SELECT coalesce(range_agg(int8range(id, id, '[]')), '{}') INTO chosen_ids FROM unnest(chosen) AS id;

    FOR entry IN
        SELECT * FROM work_session_history WHERE user_id = employee AND operation = 'import' ORDER BY seq
    LOOP
        -- What the last purge left of it, if one took something of it.
        SELECT part INTO known
        FROM work_session_history AS h CROSS JOIN jsonb_array_elements(h.after -> 'imports') AS part
        WHERE h.user_id = employee AND h.operation = 'purge' AND (part ->> 'seq')::integer = entry.seq
        ORDER BY h.seq DESC
        LIMIT 1;
        known := coalesce(known, entry.after);
        came := (known ->> 'ids')::int8multirange;
        IF came && chosen_ids THEN
            SELECT
                count(state) AS sessions,
                encode(sha256(coalesce(string_agg(state, '' ORDER BY id), '')), 'hex') AS digest,
                count(state) FILTER (WHERE NOT chosen_ids @> id) AS sessions_left,
                encode(sha256(coalesce(
                    string_agg(state, '' ORDER BY id) FILTER (WHERE NOT chosen_ids @> id), ''
                )), 'hex') AS digest_left
            INTO compared
            FROM imported_first_states(entry, came);
            IF (compared.sessions, compared.digest)
                IS DISTINCT FROM ((known ->> 'sessions')::bigint, known ->> 'digest')
            THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'data_corrupted',
                    MESSAGE = format('what came with row %s of employee %s is not as it came', entry.seq, employee),
                    HINT = 'See manage.py verify_history.';
            END IF;
            came := came - chosen_ids;
            imports := imports || jsonb_build_object(
                'seq', entry.seq, 'sessions', compared.sessions_left, 'ids', came::text,
                'digest', compared.digest_left
            );
        END IF;
        IF isempty(came) AND entry.at < rule.edge THEN
            gone := gone || entry.seq;
        END IF;
    END LOOP;

    gone := gone || ARRAY(
        SELECT seq FROM work_session_history
        WHERE work_session_id = ANY (chosen) AND user_id = employee AND at < rule.edge
    );
    IF cardinality(chosen) = 0 AND cardinality(gone) = 0 THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM work_session_history AS h
        LEFT JOIN work_session_history AS following ON following.user_id = employee AND following.seq = h.seq + 1
        WHERE h.user_id = employee AND h.seq = ANY (gone)
            AND (h.digest <> work_session_history_digest(h) OR following.previous <> h.digest)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'data_corrupted',
            MESSAGE = format('the history of employee %s is not as it was written', employee),
            HINT = 'See manage.py verify_history.';
    END IF;

    SELECT seq, at, digest INTO head
    FROM work_session_history WHERE user_id = employee ORDER BY seq DESC LIMIT 1;
    SELECT
        count(*) AS number, min(id) AS first_id, max(id) AS last_id,
        encode(sha256(coalesce(string_agg(
            work_session_bytes(id, start_time, end_time, end_unknown, created_at), '' ORDER BY id
        ), '')), 'hex') AS digest
    INTO sessions
    FROM work_sessions WHERE id = ANY (chosen);
    told := jsonb_build_object(
        'run', run,
        'rule', jsonb_build_object('months', rule.months, 'zone', rule.zone, 'edge', utc_text(rule.edge)),
        'sessions', sessions.number,
        'first_id', sessions.first_id,
        'last_id', sessions.last_id,
        'digest', sessions.digest,
        'ids', chosen_ids::text,
        'imports', imports,
        'months', (
            SELECT coalesce(jsonb_object_agg(month, number), '{}')
            FROM (
                SELECT to_char(start_time AT TIME ZONE rule.zone, 'YYYY-MM') AS month, count(*) AS number
                FROM work_sessions WHERE id = ANY (chosen)
                GROUP BY 1
            ) AS by_month
        ),
        -- Of which younger history stays.
        'late', (
            SELECT coalesce(range_agg(DISTINCT int8range(work_session_id, work_session_id, '[]')), '{}')::text
            FROM work_session_history
            WHERE work_session_id = ANY (chosen) AND user_id = employee AND at >= rule.edge
        ),
        'rows', cardinality(gone),
        -- Each with its last row's digest and time. None reaches across the end of a month in which rows were
        -- written, so that an anchor of that month can be checked further on.
        'gaps', (
            SELECT coalesce(jsonb_agg(jsonb_build_array(first, last, digest, at) ORDER BY first), '[]')
            FROM (
                SELECT
                    min(seq) AS first, max(seq) AS last,
                    (array_agg(encode(digest, 'hex') ORDER BY seq DESC))[1] AS digest, utc_text(max(at)) AS at
                FROM (
                    SELECT
                        seq, digest, at, date_trunc('month', at AT TIME ZONE rule.zone) AS month,
                        seq - row_number() OVER (
                            PARTITION BY date_trunc('month', at AT TIME ZONE rule.zone) ORDER BY seq
                        ) AS island
                    FROM work_session_history
                    WHERE user_id = employee AND seq = ANY (gone)
                ) AS numbered
                GROUP BY month, island
            ) AS gap
        )
    );

    DELETE FROM work_sessions WHERE id = ANY (chosen) AND user_id = employee;
    -- Where the owner calls this, the trigger recorded each deletion, with all that is to go.
    DELETE FROM work_session_history WHERE user_id = employee AND seq > coalesce(head.seq, 0);
    DELETE FROM work_session_history WHERE user_id = employee AND seq = ANY (gone);
    INSERT INTO work_session_history (
        user_id, seq, operation, at, actor_id, actor_name, actor_role, door, address, reason, after, previous, digest
    )
    SELECT
        (made.entry).user_id, (made.entry).seq, (made.entry).operation, (made.entry).at, (made.entry).actor_id, (made.entry).actor_name,
        (made.entry).actor_role, (made.entry).door, (made.entry).address, (made.entry).reason, (made.entry).after, (made.entry).previous,
        work_session_history_digest(made.entry)
    FROM (
        SELECT
            ROW(
                NULL, employee, coalesce(head.seq, 0) + 1, NULL, 'purge', greatest(clock_timestamp(), head.at),
                who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason,
                NULL, told, coalesce(head.digest, decode(repeat('00', 32), 'hex')), NULL
            )::work_session_history AS entry
        OFFSET 0 -- made once, for all that is read from it
    ) AS made;
    RETURN told;
END
$body$;
REVOKE ALL ON FUNCTION purge_work_sessions(bigint, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_work_sessions(bigint, text, integer) TO timerecord_app;

-- As before, but for what the application has removed by the function above, which runs as the owner and tells of it
-- itself. The application can become the owner in no other way, and no other function of the owner's removes any.
CREATE OR REPLACE TRIGGER work_sessions_history_delete
    AFTER DELETE ON work_sessions
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT
    WHEN (NOT (current_user = 'timerecord_owner' AND session_user = 'timerecord_app'))
    EXECUTE FUNCTION record_work_session_history();
-- Of a closed tenant, too, what is expired goes.
CREATE OR REPLACE TRIGGER work_sessions_of_closed_delete
    AFTER DELETE ON work_sessions
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT
    WHEN (NOT (current_user = 'timerecord_owner' AND session_user = 'timerecord_app'))
    EXECUTE FUNCTION refuse_records_of_closed();
ALTER TABLE work_sessions
    ENABLE ALWAYS TRIGGER work_sessions_history_delete,
    ENABLE ALWAYS TRIGGER work_sessions_of_closed_delete;

-- Removes rows of old databases that could not be written, of a tenant, of nobody's for null; by when they came, for
-- what they are is not known. Returns what went, null if nothing.
CREATE OR REPLACE FUNCTION purge_import_quarantine(its_tenant bigint, run text, at_most integer) RETURNS jsonb
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
    SET timezone = 'UTC'
AS $body$
DECLARE
    who record := who_purges();
    rule record := retention_of(its_tenant);
    went jsonb;
BEGIN
    WITH gone AS (
        DELETE FROM import_quarantine
        WHERE id IN (
            SELECT id FROM import_quarantine
            WHERE (tenant = its_tenant OR tenant IS NULL AND its_tenant IS NULL) AND created_at < rule.edge
            ORDER BY id LIMIT at_most FOR UPDATE SKIP LOCKED
        )
        RETURNING *
    )
    SELECT jsonb_build_object(
        'run', run, 'rule', to_jsonb(rule), 'rows', count(*), 'first_id', min(id), 'last_id', max(id),
        'first_at', min(created_at), 'last_at', max(created_at),
        'digest', encode(sha256(convert_to(string_agg(to_jsonb(gone)::text, E'\n' ORDER BY id), 'UTF8')), 'hex')
    ) INTO went
    FROM gone
    HAVING count(*) > 0;
    IF went IS NOT NULL THEN
        PERFORM record_purge('retention.import_quarantine', its_tenant, went);
    END IF;
    RETURN went;
END
$body$;
REVOKE ALL ON FUNCTION purge_import_quarantine(bigint, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_import_quarantine(bigint, text, integer) TO timerecord_app;
