-- A tenant can be closed: nobody of it signs in, and its rows stay. Which state it is in, the platform decides, and
-- commands. Can be run again.
SET LOCAL lock_timeout = '5s';
CREATE OR REPLACE FUNCTION end_sessions_of_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    -- Never down: a row that was read before and is stored whole must not bring ended sessions back.
    NEW.session_epoch := greatest(NEW.session_epoch, OLD.session_epoch);
    IF NEW.status <> 'active' AND NEW.status <> OLD.status THEN
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
        OR NEW.status <> 'active' AND NEW.status <> OLD.status
    )
    EXECUTE FUNCTION end_sessions_of_tenant();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_sessions_end;

-- A policy cannot compare a row with what it was: a tenant's admins change their tenant, but not its state nor its
-- uid. And a tenant that is closed stays until its rows have been kept for long enough: the owner alone removes it.
CREATE OR REPLACE FUNCTION refuse_state_of_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF pg_has_role(session_user, 'timerecord_owner', 'MEMBER') OR session_user = 'timerecord_import' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'a closed tenant is not deleted',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    ELSIF scope() ->> 'reach' NOT IN ('platform', 'all') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'no tenant admin changes the state or the uid of the tenant',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER tenants_state
    BEFORE UPDATE ON tenants
    FOR EACH ROW
    WHEN ((OLD.status, OLD.tenant_uid) IS DISTINCT FROM (NEW.status, NEW.tenant_uid))
    EXECUTE FUNCTION refuse_state_of_tenant();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_state;

CREATE OR REPLACE TRIGGER tenants_closed_stay
    BEFORE DELETE ON tenants
    FOR EACH ROW
    WHEN (OLD.status = 'closed')
    EXECUTE FUNCTION refuse_state_of_tenant();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_closed_stay;
