-- Stops if two work sessions of one user overlap. One pass over the table, without a lock on it.
DO $find$
DECLARE
    clash record;
BEGIN
    SELECT beside.user_id, beside.id, beside.previous_id INTO clash
    FROM (
        SELECT
            user_id,
            id,
            lag(id) OVER by_time AS previous_id,
            start_time < lag(coalesce(end_time, 'infinity')) OVER by_time AS clashes
        FROM work_sessions
        WHERE NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
        WINDOW by_time AS (PARTITION BY user_id ORDER BY start_time, id)
    ) AS beside
    WHERE beside.clashes
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'exclusion_violation',
            MESSAGE = 'two work sessions of one user overlap',
            DETAIL = format('Work sessions %s and %s of user %s overlap.',
                            clash.previous_id, clash.id, clash.user_id),
            HINT = 'Mend them, and migrate again. New rows are refused already if they overlap.',
            CONSTRAINT = 'work_sessions_no_overlap',
            TABLE = 'work_sessions';
    END IF;
END
$find$;
