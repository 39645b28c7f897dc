DROP FUNCTION purge_audit_events(bigint, text, integer);
DROP FUNCTION record_purge(text, bigint, jsonb);
DROP FUNCTION who_purges();
