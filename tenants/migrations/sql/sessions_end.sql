-- Who was signed in when a tenant was suspended has to sign in anew when that is lifted: whatever code, or
-- whoever, changes the status. Can be run again.
SET LOCAL lock_timeout = '5s';
CREATE OR REPLACE FUNCTION end_sessions_of_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    -- Never down: a row that was read before and is stored whole must not bring ended sessions back.
    NEW.session_epoch := greatest(NEW.session_epoch, OLD.session_epoch);
    IF NEW.status = 'suspended' AND OLD.status <> 'suspended' THEN
        NEW.session_epoch := greatest(NEW.session_epoch, OLD.session_epoch + 1);
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER tenants_sessions_end
    BEFORE UPDATE ON tenants
    FOR EACH ROW
    WHEN (
        NEW.session_epoch < OLD.session_epoch
        OR NEW.status = 'suspended' AND OLD.status <> 'suspended'
    )
    EXECUTE FUNCTION end_sessions_of_tenant();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_sessions_end;
