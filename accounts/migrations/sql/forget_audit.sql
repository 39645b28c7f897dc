SET LOCAL lock_timeout = '5s';
-- With the function go the triggers on all three tables.
DROP FUNCTION record_audit_events() CASCADE;
DROP FUNCTION record_event(text, bigint, jsonb);
DROP FUNCTION who_changes();
