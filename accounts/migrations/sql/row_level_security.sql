-- Accounts, role codes and password resets: one's own, the tenant's for its admins, everything for the platform.
-- Each function stands in a SELECT so that it runs once a statement. Can be run again.
SET LOCAL lock_timeout = '5s';
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE password_resets ENABLE ROW LEVEL SECURITY;

-- The users whose rows in other tables are in scope, below "all". A look-up in `users` in each policy would be
-- planned anew with every statement, its own policies included: that took a millisecond a punch.
CREATE OR REPLACE FUNCTION users_in_scope() RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    ROWS 100
AS $body$
DECLARE
    named jsonb := scope();
BEGIN
    IF named ->> 'reach' = 'tenant' THEN
        RETURN QUERY SELECT id FROM users WHERE tenant_id = (named ->> 'tenant')::bigint;
    ELSIF named ->> 'reach' = 'own' THEN
        RETURN NEXT (named ->> 'user')::bigint;
    END IF;
END
$body$;

DROP POLICY IF EXISTS see ON users;
CREATE POLICY see ON users FOR SELECT TO timerecord_app
    USING (id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));

-- Nobody moves out of a tenant or into another one, and no tenant admin makes somebody the platform's.
DROP POLICY IF EXISTS change ON users;
CREATE POLICY change ON users FOR UPDATE TO timerecord_app
    USING (id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()))
    WITH CHECK (
        (id = (SELECT scope_user()) AND tenant_id IS NOT DISTINCT FROM (SELECT scope_own_tenant()))
        OR (tenant_id = (SELECT scope_tenant()) AND role <> 'platform_admin')
        OR (SELECT scope_all())
    );

DROP POLICY IF EXISTS make ON users;
CREATE POLICY make ON users FOR INSERT TO timerecord_app
    WITH CHECK ((tenant_id = (SELECT scope_tenant()) AND role <> 'platform_admin') OR (SELECT scope_all()));

DROP POLICY IF EXISTS remove ON users;
CREATE POLICY remove ON users FOR DELETE TO timerecord_app
    USING ((tenant_id = (SELECT scope_tenant()) AND role <> 'platform_admin') OR (SELECT scope_all()));

-- Made by somebody in the tenant, or by the platform; which a tenant admin may change, and so not on UPDATE too.
DROP POLICY IF EXISTS tenant ON role_codes;
DROP POLICY IF EXISTS make ON role_codes;
CREATE POLICY make ON role_codes FOR INSERT TO timerecord_app
    WITH CHECK (
        (
            tenant_id = (SELECT scope_tenant())
            AND (created_by IS NULL OR created_by IN (SELECT users_in_scope()))
        )
        OR (SELECT scope_all())
    );
DROP POLICY IF EXISTS see ON role_codes;
CREATE POLICY see ON role_codes FOR SELECT TO timerecord_app
    USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS change ON role_codes;
CREATE POLICY change ON role_codes FOR UPDATE TO timerecord_app
    USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS remove ON role_codes;
CREATE POLICY remove ON role_codes FOR DELETE TO timerecord_app
    USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS tenant ON password_resets;
CREATE POLICY tenant ON password_resets TO timerecord_app
    USING (
        user_id = (SELECT scope_user())
        OR EXISTS (
            SELECT FROM users
            WHERE users.id = user_id AND users.tenant_id = (SELECT scope_tenant()) AND users.role <> 'platform_admin'
        )
        OR (SELECT scope_all())
    );

DROP POLICY IF EXISTS import ON users;
CREATE POLICY import ON users TO timerecord_import USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS import ON role_codes;
CREATE POLICY import ON role_codes TO timerecord_import USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS import ON password_resets;
CREATE POLICY import ON password_resets TO timerecord_import USING (true) WITH CHECK (true);

-- Policies see a row as it was or as it will be, never both: that nobody raises themselves, and no tenant admin
-- takes over a platform admin of the same tenant, is a trigger's job.
CREATE OR REPLACE FUNCTION refuse_own_rights() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF NOT pg_has_role(session_user, 'timerecord_owner', 'MEMBER') AND session_user <> 'timerecord_import'
        AND NOT scope_all()
        AND (scope() ->> 'reach' = 'own' OR OLD.id = scope_user() OR OLD.role = 'platform_admin')
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'nobody changes their own tenant, role or status, and no tenant admin a platform admin''s',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER users_own_rights
    BEFORE UPDATE ON users
    FOR EACH ROW
    WHEN (
        (OLD.tenant_id, OLD.role, OLD.status) IS DISTINCT FROM (NEW.tenant_id, NEW.role, NEW.status)
        OR OLD.id <> NEW.id
    )
    EXECUTE FUNCTION refuse_own_rights();
ALTER TABLE users ENABLE ALWAYS TRIGGER users_own_rights;
