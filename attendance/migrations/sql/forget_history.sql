SET LOCAL lock_timeout = '5s';
LOCK TABLE work_session_history IN ACCESS EXCLUSIVE MODE;
DO $evidence$
BEGIN
    IF EXISTS (SELECT FROM work_session_history WHERE door <> 'migration') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'work_session_history holds evidence, which would go with this migration',
            HINT = 'Keep a copy of the table elsewhere, empty it as the owner, and migrate back then.';
    END IF;
END
$evidence$;
DROP TRIGGER work_sessions_history_insert ON work_sessions;
DROP TRIGGER work_sessions_history_update ON work_sessions;
DROP TRIGGER work_sessions_history_delete ON work_sessions;
DROP FUNCTION record_work_session_history();
DROP FUNCTION work_session_history_digest(work_session_history);
DROP FUNCTION work_session_bytes(bigint, timestamptz, timestamptz, boolean, timestamptz);
DROP FUNCTION work_session_state(timestamptz, timestamptz, boolean, timestamptz);
DROP FUNCTION utc_text(timestamptz);
