-- The scope of a transaction, as tenants/scope.py says it: what row-level security and the history go by.
-- Works in the schema timerecord; can be run again.

-- One row for each secret key in use: what HMAC-SHA-256 puts before the message and before the inner digest.
CREATE TABLE IF NOT EXISTS timerecord.scope_keys (
    inner_pad bytea PRIMARY KEY,
    outer_pad bytea NOT NULL
);
REVOKE ALL ON timerecord.scope_keys FROM PUBLIC, timerecord_app, timerecord_import;

-- The scope that was named, its seal verified. Fails for an absent one and for an empty one, which is what
-- a connection keeps after SET LOCAL: nobody reads an empty page for want of a scope.
CREATE OR REPLACE FUNCTION timerecord.scope() RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SECURITY DEFINER
    SET search_path = timerecord, pg_temp
AS $body$
DECLARE
    said text := current_setting('timerecord.scope', true);
BEGIN
    IF coalesce(said, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'no scope was named in this transaction',
            HINT = 'The application names one through tenants/scope.py.';
    END IF;
    IF NOT EXISTS (
        SELECT FROM scope_keys
        WHERE encode(sha256(outer_pad || sha256(inner_pad || convert_to(said, 'UTF8'))), 'hex')
            = current_setting('timerecord.seal', true)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the seal of the scope does not fit',
            HINT = 'After a new SECRET_KEY: manage.py bootstrap_database, with the old one in SECRET_KEY_FALLBACKS.';
    END IF;
    RETURN said::jsonb;
END
$body$;

-- What policies ask, each wrapped in a SELECT there so that it runs once a statement and not once a row.
CREATE OR REPLACE FUNCTION timerecord.scope_all() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN timerecord.scope() ->> 'reach' = 'all';

CREATE OR REPLACE FUNCTION timerecord.scope_tenant() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN timerecord.scope() ->> 'reach' = 'tenant' THEN (timerecord.scope() ->> 'tenant')::bigint END;

-- The tenant of who asks, however far the scope reaches.
CREATE OR REPLACE FUNCTION timerecord.scope_own_tenant() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (timerecord.scope() ->> 'tenant')::bigint;

CREATE OR REPLACE FUNCTION timerecord.scope_user() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (timerecord.scope() ->> 'user')::bigint;
