-- Who changes tenants, users and role codes, who signs in, and why: docs/adr/0009-history.md. Can be run again.
SET LOCAL lock_timeout = '5s';

-- Who is changing something in this transaction: what the history of work sessions goes by, too. Called by
-- triggers that run as the owner; whoever else could call it would learn only what they said themselves.
CREATE OR REPLACE FUNCTION who_changes(
    OUT actor_id bigint, OUT actor_name text, OUT actor_role text, OUT door text, OUT address text, OUT reason text
)
    LANGUAGE plpgsql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
-- Few and large statements: each is made ready anew in each transaction, and a punch runs each only once.
DECLARE
    said jsonb;
BEGIN
    IF coalesce(current_setting('timerecord.scope', true), '') <> ''
        OR session_user <> 'timerecord_import' AND NOT pg_has_role(session_user, 'timerecord_owner', 'MEMBER')
    THEN
        said := scope();
    ELSIF session_user <> 'timerecord_import' THEN
        door := 'migration';
        reason := 'by the owner of the database, without a scope';
        RETURN;
    END IF;
    -- As they are called now. Family name first, as accounts.models.User.display_name has it.
    SELECT
        (said ->> 'user')::bigint,
        coalesce(
            nullif(
                concat_ws(
                    ' ',
                    nullif(btrim(u.last_name, E' \t\r\n\u3000'), ''),
                    nullif(btrim(u.first_name, E' \t\r\n\u3000'), '')
                ),
                ''
            ),
            u.username
        ),
        u.role,
        CASE WHEN session_user = 'timerecord_import' THEN 'import' ELSE said ->> 'door' END,
        said ->> 'address',
        said ->> 'reason'
    INTO actor_id, actor_name, actor_role, door, address, reason
    FROM (VALUES (1)) AS one LEFT JOIN users AS u ON u.id = (said ->> 'user')::bigint;
    IF door = 'import' AND session_user <> 'timerecord_import'
        AND NOT pg_has_role(session_user, 'timerecord_owner', 'MEMBER')
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the door import is open to the role timerecord_import only';
    END IF;
END
$body$;
REVOKE ALL ON FUNCTION who_changes() FROM PUBLIC;

-- One row for each row that a statement made, changed or removed, with the columns that differ. Arguments:
-- the column with the tenant, the columns whose values are secrets, the columns whose changes are no event.
CREATE OR REPLACE FUNCTION record_audit_events() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
    SET timezone = 'UTC'
AS $body$
DECLARE
    tenant_column text := TG_ARGV[0];
    secret text[] := TG_ARGV[1]::text[];
    passed_over text[] := TG_ARGV[2]::text[];
    changes refcursor;
    change record;
    who record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        OPEN changes FOR
            SELECT n.id, NULL::jsonb AS before, to_jsonb(n) - passed_over AS after FROM new_rows AS n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        OPEN changes FOR
            SELECT o.id, to_jsonb(o) - passed_over AS before, NULL::jsonb AS after FROM old_rows AS o ORDER BY o.id;
    ELSE
        OPEN changes FOR
            SELECT
                coalesce(n.id, o.id) AS id, to_jsonb(o) - passed_over AS before, to_jsonb(n) - passed_over AS after
            FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
            WHERE to_jsonb(o) - passed_over IS DISTINCT FROM to_jsonb(n) - passed_over
            ORDER BY 1;
    END IF;
    LOOP
        FETCH changes INTO change;
        EXIT WHEN NOT FOUND;
        IF who IS NULL THEN
            who := who_changes();
        END IF;
        INSERT INTO audit_events (
            at, tenant_id, kind, subject_id, actor_id, actor_name, actor_role, door, address, reason, before, after
        )
        SELECT
            clock_timestamp(),
            coalesce(change.after ->> tenant_column, change.before ->> tenant_column)::bigint,
            TG_TABLE_NAME || '.' || lower(TG_OP),
            change.id, who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason,
            (
                SELECT jsonb_object_agg(key, value)
                FROM jsonb_each(change.before)
                WHERE key <> ALL (secret) AND value IS DISTINCT FROM change.after -> key
            ),
            (
                SELECT jsonb_object_agg(key, CASE WHEN key = ANY (secret) THEN '"changed"' ELSE value END)
                FROM jsonb_each(change.after)
                WHERE value IS DISTINCT FROM change.before -> key
                    AND (change.before IS NOT NULL OR key <> ALL (secret))
            );
    END LOOP;
    CLOSE changes;
    RETURN NULL;
END
$body$;
REVOKE ALL ON FUNCTION record_audit_events() FROM PUBLIC;

DO $triggers$
DECLARE
    guarded record;
    arguments text;
    transition record;
BEGIN
    FOR guarded IN
        VALUES
            ('tenants', 'id', '{}', '{}'),
            -- Each wrong password counts one up: sign-ins have events of their own.
            ('users', 'tenant_id', '{password_hash}', '{failed_attempts}'),
            -- Each registration counts one up: it makes a user, which is an event.
            ('role_codes', 'tenant_id', '{code}', '{usage_count}')
    LOOP
        arguments := format('%L, %L, %L', guarded.column2, guarded.column3, guarded.column4);
        FOR transition IN
            VALUES
                ('insert', 'NEW TABLE AS new_rows'),
                ('update', 'OLD TABLE AS old_rows NEW TABLE AS new_rows'),
                ('delete', 'OLD TABLE AS old_rows')
        LOOP
            EXECUTE format(
                'CREATE OR REPLACE TRIGGER %1$I AFTER %2$s ON %3$I REFERENCING %4$s '
                'FOR EACH STATEMENT EXECUTE FUNCTION record_audit_events(%5$s)',
                guarded.column1 || '_audit_' || transition.column1,
                transition.column1, guarded.column1, transition.column2, arguments
            );
            -- session_replication_role = replica, which data loaders set, would skip ordinary triggers.
            EXECUTE format(
                'ALTER TABLE %I ENABLE ALWAYS TRIGGER %I',
                guarded.column1, guarded.column1 || '_audit_' || transition.column1
            );
        END LOOP;
    END LOOP;
END
$triggers$;

-- What is no change of a row: somebody signed in, failed to, or signed out. `subject` is whom it is about.
CREATE OR REPLACE FUNCTION record_event(kind text, subject bigint, details jsonb) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
AS $body$
DECLARE
    who record := who_changes();
    tenant bigint := (SELECT tenant_id FROM users WHERE id = subject);
BEGIN
    -- What triggers record, nobody else can pretend; nor what is about people whom the scope does not reach.
    IF kind !~ '^sign_(in|out)(\.[a-z_]+)?$'
        OR who.door <> 'migration' AND NOT coalesce(scope_all() OR subject = scope_user() OR tenant = scope_tenant(), false)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('an event of the kind %s about user %s is not for this scope to record', kind, subject);
    END IF;
    INSERT INTO audit_events (
        at, tenant_id, kind, subject_id, actor_id, actor_name, actor_role, door, address, reason, after
    )
    VALUES (
        clock_timestamp(), tenant, kind, subject,
        who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason, details
    );
END
$body$;
REVOKE ALL ON FUNCTION record_event(text, bigint, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_event(text, bigint, jsonb) TO timerecord_app;

-- Read by whom it is about and, as long as they are in that tenant, by who did it; by the tenant's admins and by the platform; written by triggers.
REVOKE ALL ON audit_events FROM timerecord_app, timerecord_import;
GRANT SELECT ON audit_events TO timerecord_app, timerecord_import;
REVOKE ALL ON SEQUENCE audit_events_id_seq FROM timerecord_app, timerecord_import;
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS see ON audit_events;
CREATE POLICY see ON audit_events FOR SELECT TO timerecord_app
    USING (
        (actor_id = (SELECT scope_user()) AND tenant_id IS NOT DISTINCT FROM (SELECT scope_own_tenant()))
        OR (subject_id = (SELECT scope_user()) AND (kind LIKE 'users.%' OR kind LIKE 'sign\_%'))
        OR tenant_id = (SELECT scope_tenant())
        OR (SELECT scope_all())
    );
DROP POLICY IF EXISTS import ON audit_events;
CREATE POLICY import ON audit_events FOR SELECT TO timerecord_import USING (true);
