-- A tenant is seen by its own people and changed by its admins; made, suspended and removed by the platform.
-- Each function stands in a SELECT so that it runs once a statement. Can be run again. The lock is short, and
-- given up soon if somebody holds it off: then run the migration again.
SET LOCAL lock_timeout = '5s';
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS see ON tenants;
CREATE POLICY see ON tenants FOR SELECT TO timerecord_app
    USING (id = (SELECT scope_own_tenant()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS change ON tenants;
CREATE POLICY change ON tenants FOR UPDATE TO timerecord_app
    USING (id = (SELECT scope_tenant()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS make ON tenants;
CREATE POLICY make ON tenants FOR INSERT TO timerecord_app WITH CHECK ((SELECT scope_all()));

DROP POLICY IF EXISTS remove ON tenants;
CREATE POLICY remove ON tenants FOR DELETE TO timerecord_app USING ((SELECT scope_all()));

DROP POLICY IF EXISTS import ON tenants;
CREATE POLICY import ON tenants TO timerecord_import USING (true) WITH CHECK (true);
