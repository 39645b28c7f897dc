-- How long a tenant's records are kept, and from when on they may go: docs/adr/0015-retention.md. Can be run again.
SET LOCAL lock_timeout = '5s';

-- The instant before which everything is older than the retention: a month's records go once so many whole months
-- have passed since its end, which is the tenant's midnight. Where the clocks pass that midnight twice, the first one
-- counts, as in attendance/calculations.py. Fails for a zone that PostgreSQL does not know.
CREATE OR REPLACE FUNCTION retention_edge(at timestamptz, zone text, months integer) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = timerecord, pg_temp
AS $body$
DECLARE
    midnight timestamp := date_trunc('month', at AT TIME ZONE zone) - make_interval(months => months);
    edge timestamptz := midnight AT TIME ZONE zone;
    -- By the clock of the day before.
    first_pass timestamptz :=
        edge - (((edge - interval '1 day') AT TIME ZONE zone) - (midnight - interval '1 day'));
BEGIN
    IF first_pass < edge AND first_pass AT TIME ZONE zone = midnight THEN
        RETURN first_pass;
    END IF;
    RETURN edge;
END
$body$;

-- What holds for a tenant's records now; for those of nobody's, or of a tenant that is gone, what holds by default.
CREATE OR REPLACE FUNCTION retention_of(
    its_tenant bigint, OUT months integer, OUT zone text, OUT edge timestamptz
)
    LANGUAGE plpgsql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    SELECT retention_months, time_zone INTO months, zone FROM tenants WHERE id = its_tenant;
    months := coalesce(months, 60);
    zone := coalesce(zone, 'Asia/Tokyo');
    edge := retention_edge(clock_timestamp(), zone, months);
END
$body$;

-- Whoever could shorten it could have records removed that somebody relies on.
CREATE OR REPLACE FUNCTION refuse_shorter_retention() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    IF NOT pg_has_role(session_user, 'timerecord_owner', 'MEMBER')
        AND NOT (scope_all() AND scope() ->> 'door' = 'command')
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'only the operator of the service shortens how long a tenant''s records are kept',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER tenants_retention
    BEFORE UPDATE ON tenants
    FOR EACH ROW
    WHEN (NEW.retention_months < OLD.retention_months)
    EXECUTE FUNCTION refuse_shorter_retention();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER tenants_retention;
