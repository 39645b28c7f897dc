-- No two work sessions of one user overlap, whoever writes them and whatever races with whom.
-- docs/adr/0002-overlap-guarantee.md says why this is a trigger, and what it rests on.
--
-- A session takes the time [start_time, end_time); without end_time it is running and takes all time from
-- start_time on. It takes none, and so overlaps nothing, if its end is unknown or equals its start.
--
-- Works in the first schema of the search path, where `users` and `work_sessions` are. Can be run again.

CREATE OR REPLACE FUNCTION refuse_overlapping_work_sessions() RETURNS trigger
    LANGUAGE plpgsql
    -- The definer sees and locks every row, whatever row-level security shows to the one who writes. Should
    -- a policy ever bind the definer too, row_security = off makes it an error, not an overlooked row.
    SECURITY DEFINER
    SET row_security = off
    -- A plan is made once a connection, perhaps while the table has ten rows, and kept for all that follows:
    -- only the one that goes by the index is right for every size.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET jit = off
AS $body$
DECLARE
    spans refcursor;
    span record;
    nearby record;
    previous_id bigint;
    taken_until timestamptz;
BEGIN
    -- At a higher level the look below would show the state before the lock was waited for. SERIALIZABLE
    -- would notice that among its like, but not beside a transaction at a lower level.
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

    -- Whose time did this statement take, from when to when? Rows that it left as they were do not count.
    IF TG_OP = 'INSERT' THEN
        OPEN spans FOR
            SELECT user_id, min(start_time) AS since, max(coalesce(end_time, 'infinity')) AS until
            FROM new_rows
            WHERE NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
            GROUP BY user_id
            ORDER BY user_id;
    ELSE
        -- EXCEPT and not a join, which would be planned for one row and kept for a million.
        OPEN spans FOR
            SELECT user_id, min(start_time) AS since, max(coalesce(end_time, 'infinity')) AS until
            FROM (
                SELECT id, user_id, start_time, end_time FROM new_rows
                WHERE NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
                EXCEPT
                SELECT id, user_id, start_time, end_time FROM old_rows
                WHERE NOT end_unknown
            ) AS changed
            GROUP BY user_id
            ORDER BY user_id;
    END IF;

    LOOP
        FETCH spans INTO span;
        EXIT WHEN NOT FOUND;

        -- From here to the end of the transaction nobody else takes time for this user. In the order of id, so
        -- that two statements cannot wait for each other; NO KEY, which a foreign key's own lock lets pass.
        PERFORM FROM users WHERE id = span.user_id FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = 'foreign_key_violation',
                MESSAGE = format('there is no user %s to have a work session', span.user_id),
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME;
        END IF;

        -- A query of its own, so that it sees what the lock was waiting for. Before this statement the user's
        -- sessions were disjoint; so if any two overlap now, then two do that follow one another in time, one
        -- of them new. Both are met on the way from the last one before the span to the span's end.
        taken_until := '-infinity';
        FOR nearby IN
            SELECT id, start_time, end_time
            FROM work_sessions
            WHERE user_id = span.user_id
                AND start_time >= coalesce(
                    (
                        SELECT start_time
                        FROM work_sessions
                        WHERE user_id = span.user_id AND start_time < span.since
                            AND NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
                        ORDER BY start_time DESC
                        LIMIT 1
                    ),
                    span.since
                )
                AND start_time < span.until
                AND NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
            ORDER BY start_time
        LOOP
            IF nearby.start_time < taken_until THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'exclusion_violation',
                    MESSAGE = 'two work sessions of one user overlap',
                    DETAIL = format('Work sessions %s and %s of user %s overlap.',
                                    previous_id, nearby.id, span.user_id),
                    CONSTRAINT = 'work_sessions_no_overlap',
                    SCHEMA = TG_TABLE_SCHEMA,
                    TABLE = TG_TABLE_NAME;
            END IF;
            previous_id := nearby.id;
            taken_until := coalesce(nearby.end_time, 'infinity');
        END LOOP;
    END LOOP;
    CLOSE spans;
    RETURN NULL;
END
$body$;

-- Fixed to where the tables are now; pg_temp last, or a temporary table named `users` would come first.
DO $fix$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION refuse_overlapping_work_sessions() SET search_path = %I, pg_temp', current_schema()
    );
END
$fix$;

REVOKE ALL ON FUNCTION refuse_overlapping_work_sessions() FROM PUBLIC;

CREATE OR REPLACE TRIGGER work_sessions_no_overlap_insert
    AFTER INSERT ON work_sessions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_work_sessions();

CREATE OR REPLACE TRIGGER work_sessions_no_overlap_update
    AFTER UPDATE ON work_sessions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_work_sessions();

-- session_replication_role = replica, which data loaders set, would skip ordinary triggers.
ALTER TABLE work_sessions
    ENABLE ALWAYS TRIGGER work_sessions_no_overlap_insert,
    ENABLE ALWAYS TRIGGER work_sessions_no_overlap_update;
