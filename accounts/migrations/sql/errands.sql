-- What is to be done for somebody once nobody waits for an answer: docs/adr/0010-accounts.md. An errand has the
-- address that somebody typed, so only who has a reason to see all tenants' rows sees it. Can be run again.
SET LOCAL lock_timeout = '5s';
ALTER TABLE errands ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS platform ON errands;
CREATE POLICY platform ON errands TO timerecord_app USING ((SELECT scope_all())) WITH CHECK ((SELECT scope_all()));

-- With what a change was made, as the browser calls itself: the scope says it.
CREATE OR REPLACE FUNCTION note_device() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF coalesce(current_setting('timerecord.scope', true), '') <> '' THEN
        NEW.device := scope() ->> 'device';
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER audit_events_device
    BEFORE INSERT ON audit_events
    FOR EACH ROW
    EXECUTE FUNCTION note_device();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_device;

-- As before, with more that is no change of a row: asking for a new password or address, the end of sessions,
-- a file with records, a look at a tenant's records from outside.
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
    IF kind !~ '^(sign_in|sign_out|password|email|sessions|export|access)(\.[a-z_]+)?$'
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

-- Who may do something else, or nothing any more, signs in anew for it, whatever code changed the row.
CREATE OR REPLACE FUNCTION end_sessions_of_user() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    -- Never down: a row that was read before and is stored whole must not bring ended sessions back.
    NEW.session_epoch := greatest(NEW.session_epoch, OLD.session_epoch);
    IF NEW.role <> OLD.role
        OR NEW.tenant_id IS DISTINCT FROM OLD.tenant_id
        OR NEW.status = 'suspended' AND OLD.status <> 'suspended'
    THEN
        NEW.session_epoch := greatest(NEW.session_epoch, OLD.session_epoch + 1);
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER users_sessions_end
    BEFORE UPDATE ON users
    FOR EACH ROW
    WHEN (
        NEW.session_epoch < OLD.session_epoch
        OR NEW.role <> OLD.role
        OR NEW.tenant_id IS DISTINCT FROM OLD.tenant_id
        OR NEW.status = 'suspended' AND OLD.status <> 'suspended'
    )
    EXECUTE FUNCTION end_sessions_of_user();
ALTER TABLE users ENABLE ALWAYS TRIGGER users_sessions_end;
