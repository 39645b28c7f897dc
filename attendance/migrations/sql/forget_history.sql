SET LOCAL lock_timeout = '5s';
DROP TRIGGER work_sessions_history_insert ON work_sessions;
DROP TRIGGER work_sessions_history_update ON work_sessions;
DROP TRIGGER work_sessions_history_delete ON work_sessions;
DROP FUNCTION record_work_session_history();
DROP FUNCTION work_session_history_digest(work_session_history);
DROP FUNCTION work_session_bytes(bigint, timestamptz, timestamptz, boolean, timestamptz);
DROP FUNCTION work_session_state(timestamptz, timestamptz, boolean, timestamptz);
DROP FUNCTION utc_text(timestamptz);
