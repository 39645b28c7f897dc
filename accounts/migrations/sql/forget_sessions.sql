DROP FUNCTION IF EXISTS read_session(text);
DROP FUNCTION IF EXISTS create_session(text, text, bigint, bigint, timestamptz, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS replace_session(text, text, bigint, bigint, timestamptz, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS touch_session(text, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS remove_session(text);
DROP FUNCTION IF EXISTS clear_sessions(timestamptz);
