-- What is older than its tenant's retention goes from the audit trail, and nothing else: docs/adr/0015-retention.md.
-- Can be run again.
SET LOCAL lock_timeout = '5s';

-- Who has records removed in this transaction: a command that reaches all tenants' rows, or the owner. What that
-- means for a record is not theirs to say: the functions that remove some go by the tenant's retention and by
-- PostgreSQL's clock alone.
CREATE OR REPLACE FUNCTION who_purges(
    OUT actor_id bigint, OUT actor_name text, OUT actor_role text, OUT door text, OUT address text, OUT reason text
)
    LANGUAGE plpgsql STABLE
    SET search_path = timerecord, pg_temp
AS $body$
BEGIN
    SELECT * INTO actor_id, actor_name, actor_role, door, address, reason FROM who_changes();
    -- Without a scope it is the owner, who says nothing.
    IF door = 'migration' OR door = 'command' AND scope_all() THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'insufficient_privilege',
        MESSAGE = 'records that are older than the retention are removed by a command that reaches all of them';
END
$body$;
REVOKE ALL ON FUNCTION who_purges() FROM PUBLIC;

-- What went, in the trail of the tenant it went from. These events stay.
CREATE OR REPLACE FUNCTION record_purge(kind text, its_tenant bigint, details jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path = timerecord, pg_temp
AS $body$
DECLARE
    who record := who_purges();
BEGIN
    INSERT INTO audit_events (
        at, tenant_id, kind, subject_id, actor_id, actor_name, actor_role, door, address, reason, after
    )
    VALUES (
        clock_timestamp(), its_tenant, kind, its_tenant,
        who.actor_id, who.actor_name, who.actor_role, who.door, who.address, who.reason, details
    );
END
$body$;
REVOKE ALL ON FUNCTION record_purge(text, bigint, jsonb) FROM PUBLIC;

-- Removes the oldest events of a tenant, of nobody's for null; returns what went, null if nothing.
CREATE OR REPLACE FUNCTION purge_audit_events(its_tenant bigint, run text, at_most integer) RETURNS jsonb
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
    SET row_security = off
    SET timezone = 'UTC'
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET jit = off
AS $body$
DECLARE
    who record := who_purges();
    rule record := retention_of(its_tenant);
    chosen bigint[];
    went jsonb;
BEGIN
    -- Two queries, for each of them to find the index.
    IF its_tenant IS NULL THEN
        chosen := ARRAY(
            SELECT id FROM audit_events
            WHERE tenant_id IS NULL AND at < rule.edge AND kind NOT LIKE 'retention.%'
            ORDER BY at LIMIT at_most FOR UPDATE SKIP LOCKED
        );
    ELSE
        chosen := ARRAY(
            SELECT id FROM audit_events
            WHERE tenant_id = its_tenant AND at < rule.edge AND kind NOT LIKE 'retention.%'
            ORDER BY at LIMIT at_most FOR UPDATE SKIP LOCKED
        );
    END IF;
    IF cardinality(chosen) = 0 THEN
        RETURN NULL;
    END IF;
    WITH gone AS (DELETE FROM audit_events WHERE id = ANY (chosen) RETURNING *)
    SELECT jsonb_build_object(
        'run', run, 'rule', to_jsonb(rule), 'rows', count(*), 'first_id', min(id), 'last_id', max(id),
        'first_at', min(at), 'last_at', max(at),
        'digest', encode(sha256(convert_to(string_agg(to_jsonb(gone)::text, E'\n' ORDER BY id), 'UTF8')), 'hex')
    ) INTO went
    FROM gone;
    PERFORM record_purge('retention.audit_events', its_tenant, went);
    RETURN went;
END
$body$;
REVOKE ALL ON FUNCTION purge_audit_events(bigint, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_audit_events(bigint, text, integer) TO timerecord_app;
