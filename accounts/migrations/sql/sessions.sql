-- Sessions in the database. The one that a browser's cookie names is read before anybody is known, so before there
-- is a scope: by functions, and only by whoever knows its id, the digest of its key. Of all other sessions the
-- application sees and ends those in its scope, and makes or changes none. Can be run again.
SET LOCAL lock_timeout = '5s';
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS see ON sessions;
CREATE POLICY see ON sessions FOR SELECT TO timerecord_app
    USING (user_id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS remove ON sessions;
CREATE POLICY remove ON sessions FOR DELETE TO timerecord_app
    USING (user_id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()));

DROP POLICY IF EXISTS change ON sessions;
CREATE POLICY change ON sessions FOR UPDATE TO timerecord_app
    USING (user_id = (SELECT scope_user()) OR tenant_id = (SELECT scope_tenant()) OR (SELECT scope_all()))
    WITH CHECK ((SELECT scope_all()));

DROP POLICY IF EXISTS make ON sessions;
CREATE POLICY make ON sessions FOR INSERT TO timerecord_app WITH CHECK ((SELECT scope_all()));

CREATE OR REPLACE FUNCTION read_session(its_id text)
    RETURNS TABLE (data text, created_at timestamptz, seen_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql STABLE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    ROWS 1
AS $body$
BEGIN
    RETURN QUERY SELECT s.data, s.created_at, s.seen_at, s.expires_at FROM sessions s WHERE s.id = its_id;
END
$body$;

-- Each new one clears away some that have expired, so that no job is needed; it waits for nobody. By PostgreSQL's own
-- clock, too: no caller makes a session expire by naming a later time.
CREATE OR REPLACE FUNCTION create_session(
    its_id text, its_data text, its_user bigint, its_tenant bigint, its_beginning timestamptz, seen timestamptz,
    its_end timestamptz
)
    RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    INSERT INTO sessions (id, data, user_id, tenant_id, created_at, seen_at, expires_at)
    VALUES (its_id, its_data, its_user, its_tenant, its_beginning, seen, its_end)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at <= least(seen, clock_timestamp())
        ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED
    );
    RETURN true;
END
$body$;

CREATE OR REPLACE FUNCTION replace_session(
    its_id text, its_data text, its_user bigint, its_tenant bigint, seen timestamptz, its_end timestamptz,
    moment timestamptz
)
    RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    UPDATE sessions
    SET data = its_data, user_id = its_user, tenant_id = its_tenant, seen_at = seen, expires_at = its_end
    WHERE id = its_id AND expires_at > moment;
    RETURN FOUND;
END
$body$;

CREATE OR REPLACE FUNCTION touch_session(its_id text, seen timestamptz, its_end timestamptz) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    UPDATE sessions SET seen_at = seen, expires_at = its_end
    WHERE id = its_id AND seen_at < seen AND expires_at > seen;
END
$body$;

CREATE OR REPLACE FUNCTION remove_session(its_id text) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    DELETE FROM sessions WHERE id = its_id;
END
$body$;

CREATE OR REPLACE FUNCTION clear_sessions(moment timestamptz) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    -- A batch at a time, past what somebody else is at: two who clear wait for nobody, and not for each other.
    LOOP
        DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE expires_at <= least(moment, clock_timestamp())
            ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED
        );
        EXIT WHEN NOT FOUND;
    END LOOP;
END
$body$;
