SET LOCAL lock_timeout = '5s';
DROP FUNCTION end_sessions_of_user() CASCADE;
DROP FUNCTION note_device() CASCADE;
CREATE OR REPLACE FUNCTION record_event(kind text, subject bigint, details jsonb) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
AS $body$
DECLARE
    who record := who_changes();
    tenant bigint := (SELECT tenant_id FROM users WHERE id = subject);
BEGIN
    -- What triggers record, nobody else can pretend; nor what is about people whom the scope does not reach.
    IF kind !~ '^sign_(in|out)(\.[a-z_]+)?$'
        OR who.door <> 'migration' AND NOT coalesce(scope_all() OR subject = scope_user() OR tenant = scope_tenant(), false)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('an event of the kind %s about user %s is not for this scope to record', kind, subject);
    END IF;
    INSERT INTO audit_events (
        at, tenant_id, kind, subject_id, actor_id, actor_name, actor_role, door, address, reason, after
    )
    VALUES (
        clock_timestamp(), tenant, kind, subject,
        who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason, details
    );
END
$body$;
