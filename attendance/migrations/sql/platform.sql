-- What platform admins see of a tenant's records without an access to them: numbers and dates, no record. And that
-- nothing is recorded any more for a tenant that is closed. docs/adr/0012-platform-site.md. Can be run again, with
-- retention.sql after it.
SET LOCAL lock_timeout = '5s';

-- Whoever closes a tenant holds the rows of its users, as whoever changes a work session does. So the look below, a
-- statement of its own after the triggers that take that lock (they come first by name), sees a closing that it waited for.
CREATE OR REPLACE FUNCTION refuse_records_of_closed() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
AS $body$
BEGIN
    IF pg_has_role(session_user, 'timerecord_owner', 'MEMBER') THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM changed JOIN users ON users.id = changed.user_id JOIN tenants ON tenants.id = users.tenant_id
        WHERE tenants.status = 'closed'
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'the tenant is closed: its records stay as they are',
            CONSTRAINT = 'work_sessions_of_closed',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$body$;
REVOKE ALL ON FUNCTION refuse_records_of_closed() FROM PUBLIC;

CREATE OR REPLACE TRIGGER work_sessions_of_closed_insert
    AFTER INSERT ON work_sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_records_of_closed();
CREATE OR REPLACE TRIGGER work_sessions_of_closed_update
    AFTER UPDATE ON work_sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_records_of_closed();
CREATE OR REPLACE TRIGGER work_sessions_of_closed_delete
    AFTER DELETE ON work_sessions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_records_of_closed();
ALTER TABLE work_sessions
    ENABLE ALWAYS TRIGGER work_sessions_of_closed_insert,
    ENABLE ALWAYS TRIGGER work_sessions_of_closed_update,
    ENABLE ALWAYS TRIGGER work_sessions_of_closed_delete;

CREATE OR REPLACE FUNCTION require_platform() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF NOT scope_platform() AND NOT scope_all() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'what is known of all tenants is the platform''s to read';
    END IF;
END
$body$;

-- Of each of some tenants: people by state, work sessions counted up to `most`, the last punch, the last thing that
-- its own people did. One step in an index for each employee and for each tenant; no more than `most` rows otherwise.
CREATE OR REPLACE FUNCTION tenant_figures(ids bigint[], most integer)
    RETURNS TABLE (
        tenant bigint, employees bigint, admins bigint, active bigint, invited bigint, suspended bigint,
        work_sessions bigint, last_punch timestamptz, last_event timestamptz, quarantined bigint
    )
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    -- A plan is kept for all sizes: the one by the indexes.
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $body$
BEGIN
    PERFORM require_platform();
    RETURN QUERY
    SELECT
        wanted.id, people.employees, people.admins, people.active, people.invited, people.suspended,
        sessions.number, punch.at, event.at, refused.number
    FROM unnest(ids) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE u.role = 'employee') AS employees,
            count(*) FILTER (WHERE u.role = 'tenant_admin') AS admins,
            count(*) FILTER (WHERE u.status = 'active' AND left(u.password_hash, 1) <> '!') AS active,
            count(*) FILTER (WHERE u.status = 'active' AND left(u.password_hash, 1) = '!') AS invited,
            count(*) FILTER (WHERE u.status = 'suspended') AS suspended
        FROM users AS u WHERE u.tenant_id = wanted.id
    ) AS people
    CROSS JOIN LATERAL (
        SELECT count(*) AS number
        FROM (
            SELECT FROM users AS u
            CROSS JOIN LATERAL (SELECT FROM work_sessions AS w WHERE w.user_id = u.id OFFSET 0) AS one
            WHERE u.tenant_id = wanted.id
            LIMIT most
        ) AS found
    ) AS sessions
    CROSS JOIN LATERAL (
        SELECT max(greatest(latest.start_time, latest.end_time)) AS at
        FROM users AS u
        CROSS JOIN LATERAL (
            SELECT w.start_time, w.end_time FROM work_sessions AS w
            WHERE w.user_id = u.id ORDER BY w.start_time DESC LIMIT 1
        ) AS latest
        WHERE u.tenant_id = wanted.id
    ) AS punch
    LEFT JOIN LATERAL (
        SELECT e.at FROM audit_events AS e
        WHERE e.tenant_id = wanted.id AND e.actor_role IN ('employee', 'tenant_admin')
        ORDER BY e.at DESC LIMIT 1
    ) AS event ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS number
        FROM (
            SELECT FROM import_quarantine AS q WHERE q.tenant = wanted.id AND q.resolved_at IS NULL LIMIT most
        ) AS found
    ) AS refused;
END
$body$;

-- Of one tenant what its own page tells besides: the first punch, who is at work, role codes that work.
CREATE OR REPLACE FUNCTION tenant_details(its_id bigint)
    RETURNS TABLE (first_punch timestamptz, at_work bigint, role_codes bigint, usable_role_codes bigint)
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET enable_seqscan = off
    SET jit = off
AS $body$
BEGIN
    PERFORM require_platform();
    RETURN QUERY
    SELECT
        (
            SELECT min(earliest.start_time)
            FROM users AS u
            CROSS JOIN LATERAL (
                SELECT w.start_time FROM work_sessions AS w WHERE w.user_id = u.id ORDER BY w.start_time LIMIT 1
            ) AS earliest
            WHERE u.tenant_id = its_id
        ),
        (
            SELECT count(*)
            FROM users AS u JOIN work_sessions AS w ON w.user_id = u.id AND w.end_time IS NULL AND NOT w.end_unknown
            WHERE u.tenant_id = its_id
        ),
        count(*),
        count(*) FILTER (
            WHERE NOT c.is_disabled
                AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())
                AND (c.max_uses IS NULL OR c.usage_count < c.max_uses)
        )
    FROM role_codes AS c WHERE c.tenant_id = its_id;
END
$body$;

-- How often the records of a tenant were changed: what an archive says that it has. The chains only grow.
CREATE OR REPLACE FUNCTION tenant_changes(its_id bigint) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET enable_seqscan = off
    SET jit = off
AS $body$
BEGIN
    IF its_id IS DISTINCT FROM scope_tenant() AND its_id IS DISTINCT FROM scope_support() THEN
        PERFORM require_platform();
    END IF;
    RETURN (
        SELECT coalesce(sum(latest.seq), 0)
        FROM users AS u
        CROSS JOIN LATERAL (
            SELECT h.seq FROM work_session_history AS h WHERE h.user_id = u.id ORDER BY h.seq DESC LIMIT 1
        ) AS latest
        WHERE u.tenant_id = its_id
    );
END
$body$;

-- The same, once everybody who is changing something is done, and nobody begins until the transaction's end.
CREATE OR REPLACE FUNCTION hold_records(its_id bigint) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    PERFORM require_platform();
    PERFORM FROM users WHERE tenant_id = its_id ORDER BY id FOR NO KEY UPDATE;
    RETURN tenant_changes(its_id);
END
$body$;

-- What imports refused: how much of what and why, and which rows. Not what stands in them.
CREATE OR REPLACE FUNCTION quarantine_summary()
    RETURNS TABLE (source bigint, tenant bigint, table_name text, reason_code text, number bigint, unresolved bigint)
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    PERFORM require_platform();
    RETURN QUERY
    SELECT
        q.source_id, q.tenant, q.table_name::text, q.reason_code::text,
        count(*), count(*) FILTER (WHERE q.resolved_at IS NULL)
    FROM import_quarantine AS q
    GROUP BY q.source_id, q.tenant, q.table_name, q.reason_code
    ORDER BY q.source_id, q.tenant, q.table_name, q.reason_code;
END
$body$;

CREATE OR REPLACE FUNCTION quarantine_of(its_tenant bigint, after_id bigint, most integer)
    RETURNS TABLE (
        id bigint, source bigint, table_name text, legacy_id bigint, reason_code text,
        created_at timestamptz, resolved_at timestamptz
    )
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    PERFORM require_platform();
    RETURN QUERY
    SELECT
        q.id, q.source_id, q.table_name::text, q.legacy_id, q.reason_code::text, q.created_at, q.resolved_at
    FROM import_quarantine AS q
    WHERE q.tenant = its_tenant AND q.id > after_id
    ORDER BY q.id
    LIMIT most;
END
$body$;

-- Where a tenant came from: the files, and which of their rows became which tenant.
DROP POLICY IF EXISTS operator ON import_sources;
CREATE POLICY operator ON import_sources FOR SELECT TO timerecord_app USING ((SELECT scope_platform()));
DROP POLICY IF EXISTS operator ON imported_rows;
CREATE POLICY operator ON imported_rows FOR SELECT TO timerecord_app
    USING (table_name = 'tenants' AND (SELECT scope_platform()));
-- What an import refused is as much a record as what it took.
DROP POLICY IF EXISTS support ON import_quarantine;
CREATE POLICY support ON import_quarantine FOR SELECT TO timerecord_app USING (tenant = (SELECT scope_support()));
