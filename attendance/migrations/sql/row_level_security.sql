-- Work sessions belong to a tenant through their employee. Each function stands in a SELECT so that it runs once a
-- statement. Can be run again.
SET LOCAL lock_timeout = '5s';
ALTER TABLE work_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE import_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE imported_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE import_quarantine ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS see ON work_sessions;
CREATE POLICY see ON work_sessions FOR SELECT TO timerecord_app
    USING (user_id IN (SELECT users_in_scope()) OR (SELECT scope_all()));

-- Employees begin a work session, and end the running one; what is past they leave as it is. A tenant's admins
-- add, correct and remove. One policy a command: of several, PostgreSQL would plan each with every statement.
DROP POLICY IF EXISTS add ON work_sessions;
CREATE POLICY add ON work_sessions FOR INSERT TO timerecord_app
    WITH CHECK (
        (user_id = (SELECT scope_user()) AND end_time IS NULL AND NOT end_unknown)
        OR ((SELECT scope_tenant()) IS NOT NULL AND user_id IN (SELECT users_in_scope()))
        OR (SELECT scope_all())
    );

DROP POLICY IF EXISTS change ON work_sessions;
CREATE POLICY change ON work_sessions FOR UPDATE TO timerecord_app
    USING (
        (user_id = (SELECT scope_user()) AND end_time IS NULL AND NOT end_unknown)
        OR ((SELECT scope_tenant()) IS NOT NULL AND user_id IN (SELECT users_in_scope()))
        OR (SELECT scope_all())
    )
    WITH CHECK (user_id IN (SELECT users_in_scope()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS remove ON work_sessions;
CREATE POLICY remove ON work_sessions FOR DELETE TO timerecord_app
    USING (
        ((SELECT scope_tenant()) IS NOT NULL AND user_id IN (SELECT users_in_scope())) OR (SELECT scope_all())
    );

-- What an import left beside the rows is the platform's to look after; what it refused, the tenant's to read.
DROP POLICY IF EXISTS platform ON import_sources;
CREATE POLICY platform ON import_sources TO timerecord_app USING ((SELECT scope_all()));
DROP POLICY IF EXISTS platform ON imported_rows;
CREATE POLICY platform ON imported_rows TO timerecord_app USING ((SELECT scope_all()));
DROP POLICY IF EXISTS platform ON import_quarantine;
CREATE POLICY platform ON import_quarantine TO timerecord_app USING ((SELECT scope_all()));
DROP POLICY IF EXISTS tenant ON import_quarantine;
CREATE POLICY tenant ON import_quarantine FOR SELECT TO timerecord_app USING (tenant = (SELECT scope_tenant()));

DROP POLICY IF EXISTS import ON work_sessions;
CREATE POLICY import ON work_sessions TO timerecord_import USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS import ON import_sources;
CREATE POLICY import ON import_sources TO timerecord_import USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS import ON imported_rows;
CREATE POLICY import ON imported_rows TO timerecord_import USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS import ON import_quarantine;
CREATE POLICY import ON import_quarantine TO timerecord_import USING (true) WITH CHECK (true);
