SET LOCAL lock_timeout = '5s';
DROP FUNCTION refuse_shorter_retention() CASCADE;
DROP FUNCTION retention_of(bigint);
DROP FUNCTION retention_edge(timestamptz, text, integer);
