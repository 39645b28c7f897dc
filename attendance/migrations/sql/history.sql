-- Each change to a work session leaves one row, chained to the one before it of the same employee:
-- docs/adr/0009-history.md says why it is so, and which check finds what. Works in the schema timerecord; can be
-- run again.
SET LOCAL lock_timeout = '5s';

-- An instant as it stands in the history: UTC, to the microsecond.
CREATE OR REPLACE FUNCTION utc_text(at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- All of a work session that can change.
CREATE OR REPLACE FUNCTION work_session_state(
    start_time timestamptz, end_time timestamptz, end_unknown boolean, created_at timestamptz
) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_build_object(
        'start_time', utc_text(start_time),
        'end_time', utc_text(end_time),
        'end_unknown', end_unknown,
        'created_at', utc_text(created_at)
    );

-- What an import's digest is over: 33 bytes a work session, in the order of ids. Id, start, end, whether the end is
-- unknown, creation; numbers are big-endian, times count microseconds since 2000, no end is the lowest number.
CREATE OR REPLACE FUNCTION work_session_bytes(
    id bigint, start_time timestamptz, end_time timestamptz, end_unknown boolean, created_at timestamptz
) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN int8send(id) || timestamptz_send(start_time) || timestamptz_send(coalesce(end_time, '-infinity'))
        || boolsend(end_unknown) || timestamptz_send(created_at);

-- SHA-256 over the digest before and all columns but `id` and `digest`, as the text of a JSON array. `id` means
-- nothing: a row's place is `seq`. Changed never: rows that are there were written with it.
CREATE OR REPLACE FUNCTION work_session_history_digest(entry work_session_history) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(
        (entry).previous || convert_to(
            jsonb_build_array(
                (entry).user_id, (entry).seq, (entry).work_session_id, (entry).operation, utc_text((entry).at),
                (entry).actor_id, (entry).actor_name, (entry).actor_role, (entry).door, (entry).address,
                (entry).reason, (entry).before, (entry).after
            )::text,
            'UTF8'
        )
    );

CREATE OR REPLACE FUNCTION record_work_session_history() RETURNS trigger
    LANGUAGE plpgsql
    -- The definer may write what nobody else may, and sees every row. Should a policy ever bind the definer
    -- too, row_security = off makes it an error, not an overlooked row.
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
    -- A plan is made once a connection, perhaps while the table has ten rows, and kept for all that follows.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET jit = off
AS $body$
-- Few and large statements: each is made ready anew in each transaction, and a punch runs each only once.
DECLARE
    who record;
    changes refcursor;
    change record;
    refused text;
BEGIN
    -- At a higher level the end of the chain is read as it was before the lock was waited for.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = format('work sessions cannot be written at the isolation level %s',
                             upper(current_setting('transaction_isolation'))),
            DETAIL = 'A snapshot that is older than the row lock does not show what the lock was waiting for.',
            HINT = 'Use READ COMMITTED.',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;

    who := who_changes();
    IF TG_OP = 'INSERT' AND who.door = 'import' THEN
        -- What came, in one row an employee. Which sessions, and the digest of them as they came.
        OPEN changes FOR
            SELECT
                'import' AS operation, user_id, NULL::bigint AS id, true AS stays, NULL::jsonb AS before,
                jsonb_build_object(
                    'sessions', count(*),
                    'ids', range_agg(int8range(id, id, '[]'))::text,
                    'digest', encode(sha256(string_agg(
                        work_session_bytes(id, start_time, end_time, end_unknown, created_at), '' ORDER BY id
                    )), 'hex')
                ) AS after
            FROM new_rows
            GROUP BY user_id
            ORDER BY user_id;
    ELSIF TG_OP = 'INSERT' THEN
        OPEN changes FOR
            SELECT
                'insert' AS operation, user_id, id, true AS stays, NULL::jsonb AS before,
                work_session_state(start_time, end_time, end_unknown, created_at) AS after
            FROM new_rows
            ORDER BY user_id, id;
    ELSIF TG_OP = 'DELETE' THEN
        OPEN changes FOR
            SELECT
                'delete' AS operation, user_id, id, true AS stays,
                work_session_state(start_time, end_time, end_unknown, created_at) AS before, NULL::jsonb AS after
            FROM old_rows
            ORDER BY user_id, id;
    ELSE
        -- A FULL JOIN is hashed or merged, whatever number of rows it was planned for.
        OPEN changes FOR
            SELECT
                'update' AS operation, coalesce(o.user_id, n.user_id) AS user_id, coalesce(o.id, n.id) AS id,
                o.id IS NOT NULL AND n.id IS NOT NULL AS stays,
                work_session_state(o.start_time, o.end_time, o.end_unknown, o.created_at) AS before,
                work_session_state(n.start_time, n.end_time, n.end_unknown, n.created_at) AS after
            FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id AND n.user_id = o.user_id
            WHERE (o.id, o.start_time, o.end_time, o.end_unknown, o.created_at)
                IS DISTINCT FROM (n.id, n.start_time, n.end_time, n.end_unknown, n.created_at)
            ORDER BY 2, 3;
    END IF;

    LOOP
        FETCH changes INTO change;
        EXIT WHEN NOT FOUND;

        refused := CASE
            WHEN NOT change.stays THEN 'identity'
            WHEN who.door IN ('import', 'migration') THEN NULL
            WHEN who.actor_id IS NULL THEN 'actor'
            WHEN who.door = 'clock' THEN
                CASE
                    WHEN who.actor_id <> change.user_id
                        OR change.operation = 'update' AND change.before - 'end_time' <> change.after - 'end_time'
                    THEN 'clock'
                END
            -- One character that can be seen; the same whatever the locale takes for a space.
            WHEN coalesce(
                who.reason COLLATE "C" !~ (
                    '[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f'
                    '\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0]'
                ),
                true
            ) THEN 'reason'
        END;
        IF refused IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = CASE refused
                    WHEN 'actor' THEN 'nobody is named who changes this work session'
                    WHEN 'reason' THEN 'a correction of a work session needs a reason'
                    WHEN 'identity' THEN 'a work session never changes hands, nor its id'
                    ELSE 'through the door clock somebody begins and ends their own work sessions, and nothing else'
                END,
                CONSTRAINT = format('work_sessions_%s_required', refused),
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME;
        END IF;

        -- The same lock, in the same order, as that of refuse_overlapping_work_sessions(), which runs after this
        -- by the names of the triggers: one that locked fewer users first could meet another half-way.
        PERFORM FROM users WHERE id = change.user_id FOR NO KEY UPDATE;

        -- A query of its own, so that it sees what the lock was waiting for, and the row written just before.
        INSERT INTO work_session_history (
            user_id, seq, work_session_id, operation, at, actor_id, actor_name, actor_role, door, address, reason,
            before, after, previous, digest
        )
        SELECT
            (entry).user_id, (entry).seq, (entry).work_session_id, (entry).operation, (entry).at, (entry).actor_id,
            (entry).actor_name, (entry).actor_role, (entry).door, (entry).address, (entry).reason,
            (entry).before, (entry).after, (entry).previous, work_session_history_digest(entry)
        FROM (
            SELECT
                ROW(
                    NULL, change.user_id, coalesce(head.seq, 0) + 1, change.id, change.operation,
                    -- Never before the row before it, should the clock have been put back.
                    greatest(clock_timestamp(), head.at),
                    who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason,
                    change.before, change.after, coalesce(head.digest, decode(repeat('00', 32), 'hex')), NULL
                )::work_session_history AS entry
            FROM (VALUES (1)) AS one
            LEFT JOIN (
                SELECT seq, at, digest
                FROM work_session_history
                WHERE user_id = change.user_id
                ORDER BY seq DESC
                LIMIT 1
            ) AS head ON true
            OFFSET 0 -- made once, for all that is read from it
        ) AS made;
    END LOOP;
    CLOSE changes;
    RETURN NULL;
END
$body$;
REVOKE ALL ON FUNCTION record_work_session_history() FROM PUBLIC;

CREATE OR REPLACE TRIGGER work_sessions_history_insert
    AFTER INSERT ON work_sessions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_work_session_history();

CREATE OR REPLACE TRIGGER work_sessions_history_update
    AFTER UPDATE ON work_sessions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_work_session_history();

CREATE OR REPLACE TRIGGER work_sessions_history_delete
    AFTER DELETE ON work_sessions
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_work_session_history();

-- session_replication_role = replica, which data loaders set, would skip ordinary triggers.
ALTER TABLE work_sessions
    ENABLE ALWAYS TRIGGER work_sessions_history_insert,
    ENABLE ALWAYS TRIGGER work_sessions_history_update,
    ENABLE ALWAYS TRIGGER work_sessions_history_delete;

-- Read as work sessions are; written by the trigger, which runs as the owner.
REVOKE ALL ON work_session_history FROM timerecord_app, timerecord_import;
GRANT SELECT ON work_session_history TO timerecord_app, timerecord_import;
REVOKE ALL ON SEQUENCE work_session_history_id_seq FROM timerecord_app, timerecord_import;
ALTER TABLE work_session_history ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS see ON work_session_history;
CREATE POLICY see ON work_session_history FOR SELECT TO timerecord_app
    USING (user_id IN (SELECT users_in_scope()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS import ON work_session_history;
CREATE POLICY import ON work_session_history FOR SELECT TO timerecord_import USING (true);
