-- Who was signed in when a tenant was suspended has to sign in anew when that is lifted: whatever code, or
-- whoever, changes the status. Can be run again.
SET LOCAL lock_timeout = '5s';
CREATE OR REPLACE FUNCTION end_sessions_of_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    NEW.session_epoch := OLD.session_epoch + 1;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER tenants_sessions_end
    BEFORE UPDATE ON tenants
    FOR EACH ROW
    WHEN (NEW.status = 'suspended' AND OLD.status <> 'suspended')
    EXECUTE FUNCTION end_sessions_of_tenant();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_sessions_end;
