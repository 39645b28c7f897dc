-- The beginning of one employee's history: the work sessions that no row tells the coming of, in the state that they
-- were in before the first row about them. The employee is locked. Records nothing twice, and no empty beginning.
WITH told AS (
    SELECT DISTINCT ON (work_session_id) work_session_id AS id, seq, operation, before
    FROM work_session_history
    WHERE user_id = %(user)s AND work_session_id IS NOT NULL
    ORDER BY work_session_id, seq
),
came AS (
    SELECT seq, (after ->> 'ids')::int8multirange AS ids
    FROM work_session_history
    WHERE user_id = %(user)s AND operation = 'import'
),
first_states AS (
    SELECT s.id, work_session_bytes(s.id, s.start_time, s.end_time, s.end_unknown, s.created_at) AS state
    FROM work_sessions AS s
    WHERE s.user_id = %(user)s
        AND NOT EXISTS (SELECT FROM told WHERE told.id = s.id)
        AND NOT EXISTS (SELECT FROM came WHERE came.ids @> s.id)
    UNION ALL
    SELECT
        told.id,
        work_session_bytes(
            told.id,
            (told.before ->> 'start_time')::timestamptz,
            (told.before ->> 'end_time')::timestamptz,
            (told.before ->> 'end_unknown')::boolean,
            (told.before ->> 'created_at')::timestamptz
        )
    FROM told
    WHERE told.operation <> 'insert'
        AND NOT EXISTS (SELECT FROM came WHERE came.seq < told.seq AND came.ids @> told.id)
)
INSERT INTO work_session_history (user_id, seq, operation, at, door, reason, after, previous, digest)
SELECT
    (entry).user_id, (entry).seq, (entry).operation, (entry).at, (entry).door, (entry).reason, (entry).after,
    (entry).previous, work_session_history_digest(entry)
FROM (
    SELECT
        ROW(
            NULL, %(user)s, coalesce(head.seq, 0) + 1, NULL, 'import', greatest(clock_timestamp(), head.at),
            NULL, NULL, NULL, 'migration', NULL, 'what was there before the history began',
            NULL, beginning.after, coalesce(head.digest, decode(repeat('00', 32), 'hex')), NULL
        )::work_session_history AS entry
    FROM (
        SELECT
            jsonb_build_object(
                'sessions', count(*),
                'ids', range_agg(int8range(id, id, '[]'))::text,
                'digest', encode(sha256(string_agg(state, '' ORDER BY id)), 'hex')
            ) AS after
        FROM first_states
        HAVING count(*) > 0
    ) AS beginning
    LEFT JOIN (
        SELECT seq, at, digest
        FROM work_session_history
        WHERE user_id = %(user)s
        ORDER BY seq DESC
        LIMIT 1
    ) AS head ON true
    WHERE NOT EXISTS (
        SELECT FROM work_session_history
        WHERE user_id = %(user)s AND operation = 'import' AND door = 'migration'
    )
    OFFSET 0 -- made once, for all that is read from it
) AS made
