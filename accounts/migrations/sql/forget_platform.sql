SET LOCAL lock_timeout = '5s';
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
DROP POLICY IF EXISTS see ON tenants;
CREATE POLICY see ON tenants FOR SELECT TO timerecord_app
    USING (id = (SELECT scope_own_tenant()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS change ON tenants;
CREATE POLICY change ON tenants FOR UPDATE TO timerecord_app
    USING (id = (SELECT scope_tenant()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS make ON tenants;
CREATE POLICY make ON tenants FOR INSERT TO timerecord_app WITH CHECK ((SELECT scope_all()));
DROP POLICY IF EXISTS see ON users;
CREATE POLICY see ON users FOR SELECT TO timerecord_app
    USING (id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));
DROP POLICY IF EXISTS make ON users;
CREATE POLICY make ON users FOR INSERT TO timerecord_app
    WITH CHECK ((tenant_id = (SELECT scope_tenant()) AND role <> 'platform_admin') OR (SELECT scope_all()));
DROP POLICY IF EXISTS see ON audit_events;
CREATE POLICY see ON audit_events FOR SELECT TO timerecord_app
    USING (
        (actor_id = (SELECT scope_user()) AND tenant_id IS NOT DISTINCT FROM (SELECT scope_own_tenant()))
        OR (subject_id = (SELECT scope_user()) AND (kind LIKE 'users.%' OR kind LIKE 'sign\_%'))
        OR tenant_id = (SELECT scope_tenant())
        OR (SELECT scope_all())
    );
DROP POLICY see ON support_accesses;
DROP POLICY make ON support_accesses;
DROP POLICY change ON support_accesses;
DROP POLICY remove ON support_accesses;
DROP FUNCTION record_tenant_event(text, jsonb);
DROP FUNCTION guard_support_access() CASCADE;
DROP FUNCTION has_users(bigint);
DROP FUNCTION scope_support();
DROP FUNCTION scope_platform();
