SET LOCAL lock_timeout = '5s';
DO $evidence$
BEGIN
    IF EXISTS (SELECT FROM work_session_history WHERE operation = 'purge') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'work_session_history tells of purges, without which its chains are broken';
    END IF;
END
$evidence$;
DROP FUNCTION purge_import_quarantine(bigint, text, integer);
DROP FUNCTION purge_work_sessions(bigint, text, integer);
DROP FUNCTION imported_first_states(work_session_history, int8multirange);
DROP FUNCTION expired_work_sessions(bigint, timestamptz);
DROP FUNCTION is_before(jsonb, timestamptz);
CREATE OR REPLACE TRIGGER work_sessions_history_delete
    AFTER DELETE ON work_sessions
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_work_session_history();
CREATE OR REPLACE TRIGGER work_sessions_of_closed_delete
    AFTER DELETE ON work_sessions
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_records_of_closed();
ALTER TABLE work_sessions
    ENABLE ALWAYS TRIGGER work_sessions_history_delete,
    ENABLE ALWAYS TRIGGER work_sessions_of_closed_delete;
