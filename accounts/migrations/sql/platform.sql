-- What platform admins see without asking (tenants and their admins), and what with an access that is limited in time
-- and that the tenant's admins see (everything, to be read): docs/adr/0012-platform-site.md. Can be run again.
SET LOCAL lock_timeout = '5s';

-- The role is looked up with each statement: whoever is suspended or demoted is out at once.
CREATE OR REPLACE FUNCTION scope_platform() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
DECLARE
    named jsonb := scope();
BEGIN
    IF named ->> 'reach' <> 'platform' THEN
        RETURN false;
    END IF;
    RETURN EXISTS (
        SELECT FROM users
        WHERE id = (named ->> 'user')::bigint AND role = 'platform_admin' AND status = 'active'
    );
END
$body$;

-- The tenant that the platform admin of the scope may read at this moment, by the database's own clock.
CREATE OR REPLACE FUNCTION scope_support() RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
DECLARE
    named jsonb := scope();
BEGIN
    IF named ->> 'reach' <> 'support' THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT access.tenant_id
        FROM support_accesses AS access JOIN users ON users.id = access.user_id
        WHERE access.tenant_id = (named ->> 'tenant')::bigint
            AND access.user_id = (named ->> 'user')::bigint
            AND access.ended_at IS NULL AND clock_timestamp() < access.ends_at
            AND users.role = 'platform_admin' AND users.status = 'active'
        LIMIT 1
    );
END
$body$;

-- As before, and an access's: what policies of work sessions and of their history go by to show rows. Those that let
-- rows be written ask for the scope of a tenant besides.
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
    ELSIF named ->> 'reach' = 'support' THEN
        RETURN QUERY SELECT id FROM users WHERE tenant_id = scope_support();
    END IF;
END
$body$;

-- The first admin of a tenant is the platform's to make, and no other: whoever made one for a tenant that works could
-- sign in as it. True without a tenant, and for whoever is not the platform: nobody else learns which tenants have people.
CREATE OR REPLACE FUNCTION has_users(its_tenant bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
AS $body$
BEGIN
    RETURN its_tenant IS NULL
        OR NOT scope_platform()
        OR EXISTS (SELECT FROM users WHERE tenant_id = its_tenant);
END
$body$;
REVOKE ALL ON FUNCTION has_users(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_users(bigint) TO timerecord_app;

DROP POLICY IF EXISTS see ON tenants;
CREATE POLICY see ON tenants FOR SELECT TO timerecord_app
    USING (id = (SELECT scope_own_tenant()) OR (SELECT scope_all()) OR (SELECT scope_platform()));
DROP POLICY IF EXISTS change ON tenants;
CREATE POLICY change ON tenants FOR UPDATE TO timerecord_app
    USING (id = (SELECT scope_tenant()) OR (SELECT scope_all()) OR (SELECT scope_platform()));
DROP POLICY IF EXISTS make ON tenants;
CREATE POLICY make ON tenants FOR INSERT TO timerecord_app
    WITH CHECK ((SELECT scope_all()) OR (SELECT scope_platform()));

-- The platform sees whom it can write to about a tenant, and makes the first of them.
DROP POLICY IF EXISTS see ON users;
CREATE POLICY see ON users FOR SELECT TO timerecord_app
    USING (
        id = (SELECT scope_user())
        OR tenant_id = (SELECT scope_tenant())
        OR (SELECT scope_all())
        OR (role <> 'employee' AND (SELECT scope_platform()))
        OR tenant_id = (SELECT scope_support())
    );
DROP POLICY IF EXISTS make ON users;
CREATE POLICY make ON users FOR INSERT TO timerecord_app
    WITH CHECK (
        (tenant_id = (SELECT scope_tenant()) AND role <> 'platform_admin')
        OR (SELECT scope_all())
        OR (role = 'tenant_admin' AND (SELECT scope_platform()) AND NOT has_users(tenant_id))
    );

-- Of the audit trail, what was done to tenants, not what their people do.
DROP POLICY IF EXISTS see ON audit_events;
CREATE POLICY see ON audit_events FOR SELECT TO timerecord_app
    USING (
        (actor_id = (SELECT scope_user()) AND tenant_id IS NOT DISTINCT FROM (SELECT scope_own_tenant()))
        OR (subject_id = (SELECT scope_user()) AND (kind LIKE 'users.%' OR kind LIKE 'sign\_%'))
        OR tenant_id = (SELECT scope_tenant())
        OR (SELECT scope_all())
        OR (
            (kind LIKE 'tenants.%' OR kind LIKE 'support\_accesses.%' OR kind LIKE 'access.%' OR kind = 'export.archive')
            AND (SELECT scope_platform())
        )
    );

-- An access: made by a platform admin for themselves, ended by any of them or by the tenant's admins, never removed.
ALTER TABLE support_accesses ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS see ON support_accesses;
CREATE POLICY see ON support_accesses FOR SELECT TO timerecord_app
    USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_platform()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS make ON support_accesses;
CREATE POLICY make ON support_accesses FOR INSERT TO timerecord_app
    WITH CHECK (user_id = (SELECT scope_user()) AND (SELECT scope_platform()));
DROP POLICY IF EXISTS change ON support_accesses;
CREATE POLICY change ON support_accesses FOR UPDATE TO timerecord_app
    USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_platform()));

-- Nobody: no tenant has such an id. But there has to be a scope, or whoever forgot it would not be told.
DROP POLICY IF EXISTS remove ON support_accesses;
CREATE POLICY remove ON support_accesses FOR DELETE TO timerecord_app
    USING ((SELECT scope_tenant()) < 0);

CREATE OR REPLACE FUNCTION guard_support_access() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.started_at := clock_timestamp();
        NEW.ends_at := NEW.started_at + make_interval(mins => NEW.minutes);
        NEW.ended_at := NULL;
        NEW.ended_by := NULL;
        RETURN NEW;
    END IF;
    IF OLD.ended_at IS NOT NULL
        OR NEW.ends_at > OLD.ends_at
        OR (OLD.id, OLD.tenant_id, OLD.user_id, OLD.user_name, OLD.reason, OLD.minutes, OLD.started_at)
            IS DISTINCT FROM
            (NEW.id, NEW.tenant_id, NEW.user_id, NEW.user_name, NEW.reason, NEW.minutes, NEW.started_at)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'an access can be ended early, and nothing else',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.ended_at IS NOT NULL THEN
        NEW.ended_at := clock_timestamp();
        NEW.ended_by := scope_user();
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER support_accesses_guard
    BEFORE INSERT OR UPDATE ON support_accesses
    FOR EACH ROW
    EXECUTE FUNCTION guard_support_access();
ALTER TABLE support_accesses ENABLE ALWAYS TRIGGER support_accesses_guard;

-- In the audit trail of the tenant, like every other change.
DO $triggers$
DECLARE
    transition record;
BEGIN
    FOR transition IN
        VALUES
            ('insert', 'NEW TABLE AS new_rows'),
            ('update', 'OLD TABLE AS old_rows NEW TABLE AS new_rows'),
            ('delete', 'OLD TABLE AS old_rows')
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER support_accesses_audit_%1$s AFTER %1$s ON support_accesses REFERENCING %2$s '
            'FOR EACH STATEMENT EXECUTE FUNCTION record_audit_events(''tenant_id'', ''{}'', ''{}'')',
            transition.column1, transition.column2
        );
        EXECUTE format(
            'ALTER TABLE support_accesses ENABLE ALWAYS TRIGGER support_accesses_audit_%s', transition.column1
        );
    END LOOP;
END
$triggers$;

-- What is about a tenant as a whole and no change of a row: a file with all its records, a look from outside.
CREATE OR REPLACE FUNCTION record_tenant_event(kind text, details jsonb) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
AS $body$
DECLARE
    tenant bigint := coalesce(scope_tenant(), scope_support());
    who record := who_changes();
BEGIN
    IF tenant IS NULL OR kind !~ '^(export|access)\.[a-z_]+$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('an event of the kind %s is not for this scope to record', kind);
    END IF;
    INSERT INTO audit_events (
        at, tenant_id, kind, actor_id, actor_name, actor_role, door, address, reason, after
    )
    VALUES (
        clock_timestamp(), tenant, kind,
        who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason, details
    );
END
$body$;
REVOKE ALL ON FUNCTION record_tenant_event(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_tenant_event(text, jsonb) TO timerecord_app;
