"""Whether the history of work sessions is whole, and whether they are as it says.

The rows of one employee are a chain of SHA-256 digests. A chain shows by itself that a row in it was edited
or removed; against the work sessions, that one was changed past it; and against an anchor that was exported
before, that chain and work sessions were rewritten together. docs/adr/0009-history.md says which check finds
what.

Everything here reads with the scope of its caller, who names one that reaches all tenants.
"""

import dataclasses
import datetime as dt
import hashlib
import re
from collections.abc import Callable
from typing import Any, Self

from django.db import DataError, connection, transaction

from accounts.models import User
from attendance.calculations import day_start
from tenants.models import LEAST_RETENTION_MONTHS, Tenant

PEOPLE = """
    people AS (
        SELECT u.id, t.tenant_uid FROM users AS u LEFT JOIN tenants AS t ON t.id = u.tenant_id
        WHERE (%(tenant)s::bigint IS NULL OR u.tenant_id = %(tenant)s)
            AND u.id <> ALL (%(left_out)s::bigint[])
    )
"""

# Where rows of a chain went because they were older than the retention, as the rows say that stand for them:
# docs/adr/0015-retention.md.
GAPS = """
    purges AS (
        SELECT h.user_id, h.seq, h.at, h.after, (h.after #>> '{rule,edge}')::timestamptz AS edge
        FROM work_session_history AS h JOIN people AS p ON p.id = h.user_id
        WHERE h.operation = 'purge'
    ),
    gaps AS (
        SELECT
            purges.user_id, purges.seq AS told_by, purges.edge,
            (gap ->> 0)::integer AS first, (gap ->> 1)::integer AS last,
            decode(gap ->> 2, 'hex') AS digest, (gap ->> 3)::timestamptz AS at
        FROM purges CROSS JOIN jsonb_array_elements(purges.after -> 'gaps') AS gap
    )
"""

# The first broken link of each chain. A gap is a link like a row, as far as it can be: of the rows that were
# in it, digest and time of the last one are left. What says that there is one has to be as
# purge_work_sessions() writes it: later, true to the retention, and of rows that were old enough then.
LINKS = f"""
    WITH {PEOPLE}, {GAPS},
    unlike AS (
        SELECT user_id, seq
        FROM purges
        WHERE (
            (after #>> '{{rule,months}}')::integer >= {LEAST_RETENTION_MONTHS}
            -- A day more: a later edition of the zones can have another offset.
            AND edge <= interval '1 day' + CASE
                WHEN after #>> '{{rule,zone}}' IN (SELECT name FROM pg_timezone_names)
                THEN retention_edge(at, after #>> '{{rule,zone}}', (after #>> '{{rule,months}}')::integer)
                ELSE at - make_interval(months => (after #>> '{{rule,months}}')::integer)
            END
            AND (after ->> 'rows')::bigint = (
                SELECT coalesce(sum(gaps.last - gaps.first + 1), 0)
                FROM gaps WHERE gaps.user_id = purges.user_id AND gaps.told_by = purges.seq
            )
        ) IS NOT TRUE
        UNION
        SELECT user_id, told_by FROM gaps
        WHERE (first <= last AND last < told_by AND at < edge AND digest IS NOT NULL) IS NOT TRUE
    ),
    links AS (
        SELECT
            link.*,
            lag(last, 1, 0) OVER chain AS last_before,
            previous <> lag(digest, 1, decode(repeat('00', 32), 'hex')) OVER chain AS is_detached,
            (is_gap OR lag(is_gap) OVER chain) AND at < lag(at) OVER chain AS is_too_early
        FROM (
            SELECT
                h.user_id, h.work_session_id, h.seq, h.seq AS first, h.seq AS last, h.previous, h.digest,
                h.at, false AS is_gap,
                h.digest <> work_session_history_digest(h) AS is_edited,
                h.operation = 'purge' AND EXISTS (
                    SELECT FROM unlike WHERE unlike.user_id = h.user_id AND unlike.seq = h.seq
                ) AS is_unlike
            FROM work_session_history AS h JOIN people AS p ON p.id = h.user_id
            UNION ALL
            SELECT user_id, NULL, told_by, first, last, NULL, digest, at, true, false, false FROM gaps
        ) AS link
        WINDOW chain AS (PARTITION BY user_id ORDER BY first, last)
    )
    SELECT DISTINCT ON (user_id)
        p.tenant_uid, user_id, work_session_id, seq,
        CASE
            WHEN first > last_before + 1 AND is_gap
                THEN 'the rows between ' || last_before || ' and ' || first || ' are gone'
            WHEN first > last_before + 1
                THEN 'the rows between ' || last_before || ' and this one are gone'
            WHEN first <= last_before AND is_gap THEN 'it tells of a removal of rows that are there'
            WHEN first <= last_before THEN 'the row is there, though recorded as removed'
            WHEN is_edited THEN 'the row is not as it was written'
            WHEN is_unlike THEN 'it tells of a removal that the retention does not allow'
            WHEN is_too_early AND is_gap
                THEN 'it tells of a removal of rows that were older than those before them'
            ELSE 'the row does not follow the one before it'
        END
    FROM links JOIN people AS p ON p.id = links.user_id
    WHERE first <> last_before + 1 OR is_detached OR is_edited OR is_unlike OR is_too_early
    ORDER BY user_id, first, last
"""  # noqa: S608 # nobody's text

# What nobody's chain and no comparison shows: somebody deleted the user past the foreign keys.
ORPHANS = """
    SELECT NULL, user_id, NULL, NULL,
        'there is no such employee, but ' || sum(sessions) || ' work sessions and '
            || sum(rows) || ' rows of history'
    FROM (
        SELECT user_id, 1 AS sessions, 0 AS rows FROM work_sessions
        UNION ALL
        SELECT user_id, 0, 1 FROM work_session_history
    ) AS held
    WHERE NOT EXISTS (SELECT FROM users AS u WHERE u.id = held.user_id)
    GROUP BY user_id
    ORDER BY user_id
"""

# What the history tells of each work session, row by row, against the row before and the work session.
STATES = f"""
    WITH {PEOPLE}, {GAPS},
    -- Work sessions that went while younger rows about them stayed.
    late AS (
        SELECT purges.user_id, session_id, max(purges.seq) AS seq, max(purges.edge) AS edge
        FROM purges
        CROSS JOIN unnest((purges.after ->> 'late')::int8multirange) AS span
        CROSS JOIN generate_series(lower(span), upper(span) - 1) AS session_id
        GROUP BY purges.user_id, session_id
    ),
    -- What came, less what went since.
    imports AS (
        SELECT
            h.user_id, h.seq, h.door,
            (rest.part ->> 'ids')::int8multirange AS ids,
            (rest.part ->> 'sessions')::bigint AS sessions,
            rest.part ->> 'digest' AS digest
        FROM work_session_history AS h
        JOIN people AS p ON p.id = h.user_id
        CROSS JOIN LATERAL (
            SELECT part
            FROM (
                SELECT 0 AS seq, h.after AS part
                UNION ALL
                SELECT purges.seq, part
                FROM purges CROSS JOIN jsonb_array_elements(purges.after -> 'imports') AS part
                WHERE purges.user_id = h.user_id AND (part ->> 'seq')::integer = h.seq
            ) AS parts
            ORDER BY seq DESC
            LIMIT 1
        ) AS rest
        WHERE h.operation = 'import'
    ),
    events AS (
        SELECT
            h.user_id, h.work_session_id AS session_id, h.seq, h.operation, h.before, h.after, h.seq AS place
        FROM work_session_history AS h JOIN people AS p ON p.id = h.user_id
        WHERE h.work_session_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM late
            WHERE late.user_id = h.user_id AND late.session_id = h.work_session_id AND h.seq < late.seq
        )
        UNION ALL
        SELECT
            imports.user_id, session_id, imports.seq, 'import', NULL, NULL,
            -- The beginning of a history comes first, though rows were written before it was recorded.
            CASE imports.door WHEN 'migration' THEN 0 ELSE imports.seq END
        FROM imports,
        unnest(imports.ids) AS span,
        generate_series(lower(span), upper(span) - 1) AS session_id
    ),
    told AS (
        SELECT
            *,
            lag(operation) OVER session AS operation_before, lag(after) OVER session AS after_before,
            lead(operation) OVER session AS next_operation, lead(before) OVER session AS next_before
        FROM events
        WINDOW session AS (PARTITION BY user_id, session_id ORDER BY place, seq)
    ),
    compared AS (
        SELECT
            told.*, s.user_id AS holder_id,
            s.start_time, s.end_time, s.end_unknown, s.created_at
        FROM told LEFT JOIN work_sessions AS s ON s.id = told.session_id AND told.next_operation IS NULL
    ),
    found AS (
        SELECT
            user_id, session_id, seq,
            CASE
                WHEN operation IN ('insert', 'import') AND operation_before <> 'delete'
                    THEN 'it is recorded as made, but was there'
                WHEN operation IN ('update', 'delete') AND coalesce(operation_before, 'delete') = 'delete'
                    THEN 'it is recorded as changed, but not as made'
                WHEN operation IN ('update', 'delete') AND operation_before <> 'import'
                    AND before <> after_before
                    THEN 'it was changed past the history before this row'
                WHEN next_operation IS NOT NULL THEN NULL
                WHEN operation = 'delete' AND holder_id = user_id THEN 'it is there, but recorded as deleted'
                WHEN operation = 'delete' THEN NULL
                WHEN holder_id IS NULL THEN 'it is missing'
                WHEN holder_id <> user_id THEN 'it was given to employee ' || holder_id
                WHEN operation <> 'import'
                    AND after <> work_session_state(start_time, end_time, end_unknown, created_at)
                    THEN 'it is not as the history says'
            END AS problem
        FROM compared
        UNION ALL
        SELECT s.user_id, s.id, NULL, 'the history does not know it'
        FROM work_sessions AS s JOIN people AS p ON p.id = s.user_id
        WHERE NOT EXISTS (SELECT FROM told WHERE told.user_id = s.user_id AND told.session_id = s.id)
        UNION ALL
        SELECT
            h.user_id, h.work_session_id, late.seq, 'it is recorded as older than the retention, but was not'
        FROM late JOIN work_session_history AS h
            ON h.work_session_id = late.session_id AND h.user_id = late.user_id AND h.seq < late.seq
        WHERE greatest((h.before ->> 'start_time')::timestamptz, (h.after ->> 'start_time')::timestamptz)
                >= late.edge
            OR greatest((h.before ->> 'end_time')::timestamptz, (h.after ->> 'end_time')::timestamptz)
                > late.edge
        UNION ALL
        -- Their first state: before the first later change, or as they are.
        SELECT
            imports.user_id, NULL, imports.seq,
            'of the ' || imports.sessions
                || ' work sessions that came, one or more are not as they came'
        FROM (
            SELECT
                user_id, seq, count(first_state) AS sessions,
                encode(sha256(string_agg(first_state, '' ORDER BY session_id)), 'hex') AS digest
            FROM (
                SELECT
                    user_id, seq, session_id,
                    CASE
                        WHEN next_operation IS NULL
                            THEN work_session_bytes(session_id, start_time, end_time, end_unknown, created_at)
                        ELSE work_session_bytes(
                            session_id,
                            (next_before ->> 'start_time')::timestamptz,
                            (next_before ->> 'end_time')::timestamptz,
                            (next_before ->> 'end_unknown')::boolean,
                            (next_before ->> 'created_at')::timestamptz
                        )
                    END AS first_state
                FROM compared
                WHERE operation = 'import'
            ) AS came
            GROUP BY user_id, seq
        ) AS rebuilt
        JOIN imports ON imports.user_id = rebuilt.user_id AND imports.seq = rebuilt.seq
        -- Missing ones have been named already.
        WHERE rebuilt.sessions = imports.sessions AND rebuilt.digest <> imports.digest
    )
    SELECT p.tenant_uid, found.user_id, found.session_id, found.seq, found.problem
    FROM found JOIN people AS p ON p.id = found.user_id
    WHERE found.problem IS NOT NULL
    ORDER BY found.user_id, found.session_id NULLS FIRST, found.seq
"""  # noqa: S608 # nobody's text

COUNTS = f"""
    WITH {PEOPLE}
    SELECT
        (SELECT count(*) FROM work_session_history AS h JOIN people AS p ON p.id = h.user_id),
        (SELECT count(DISTINCT user_id) FROM work_session_history AS h JOIN people AS p ON p.id = h.user_id),
        (SELECT count(*) FROM work_sessions AS s JOIN people AS p ON p.id = s.user_id)
"""  # noqa: S608 # nobody's text


# The last row of each chain that was written before an instant, also if retention removed it since.
HEADS = f"""
    WITH {PEOPLE}, {GAPS}
    SELECT p.id, head.seq, encode(head.digest, 'hex')
    FROM people AS p CROSS JOIN LATERAL (
        (
            SELECT seq, digest FROM work_session_history
            WHERE user_id = p.id AND at < %(until)s ORDER BY seq DESC LIMIT 1
        )
        UNION ALL
        SELECT last, digest FROM gaps WHERE gaps.user_id = p.id AND gaps.at < %(until)s
        ORDER BY 1 DESC
        LIMIT 1
    ) AS head
    ORDER BY p.id
"""  # noqa: S608 # nobody's text

# The rows that an anchor knows as the last of their chains, whether others of before its time come after
# them, and whether retention removed them.
KNOWN_HEADS = f"""
    WITH people AS (SELECT DISTINCT unnest(%(users)s::bigint[]) AS id), {GAPS}
    SELECT
        k.user_id, k.seq, encode(coalesce(h.digest, ended.digest), 'hex'),
        EXISTS (
            SELECT FROM work_session_history AS later
            WHERE later.user_id = k.user_id AND later.seq > k.seq AND later.at < %(until)s
        ) OR EXISTS (
            SELECT FROM gaps WHERE gaps.user_id = k.user_id AND gaps.last > k.seq AND gaps.at < %(until)s
        ),
        EXISTS (SELECT FROM gaps WHERE gaps.user_id = k.user_id AND k.seq BETWEEN gaps.first AND gaps.last)
    FROM unnest(%(users)s::bigint[], %(seqs)s::bigint[]) AS k (user_id, seq)
    LEFT JOIN work_session_history AS h ON h.user_id = k.user_id AND h.seq = k.seq
    LEFT JOIN gaps AS ended ON ended.user_id = k.user_id AND ended.last = k.seq
"""  # noqa: S608 # nobody's text


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. Of an import, no single work session can be named."""

    tenant_uid: str | None
    user_id: int | None
    session_id: int | None
    seq: int | None
    problem: str

    def __str__(self) -> str:
        named = (
            ("tenant", self.tenant_uid),
            ("employee", self.user_id),
            ("work session", self.session_id),
            ("row", self.seq),
        )
        return f"{', '.join(f'{what} {value}' for what, value in named if value is not None)}: {self.problem}"


@dataclasses.dataclass(frozen=True)
class Verified:
    """What was looked at, and what was found."""

    rows: int
    employees: int
    sessions: int
    findings: list[Finding]


def verify(tenant: Tenant | None = None, report: Callable[[Finding], object] = lambda _: None) -> Verified:
    """Walk the chains of a tenant's employees, or of all there are, and compare their work sessions.

    Whose chain is broken is left out of the comparison: what such a row tells proves nothing, and could take
    for ever to read. `report` is given each finding as soon as it is there. Each query sees one state of the
    database, whatever is written meanwhile.
    """
    parameters: dict[str, Any] = {"tenant": tenant.pk if tenant else None, "left_out": []}
    findings: list[Finding] = []

    def found(*some: Finding) -> None:
        findings.extend(some)
        for finding in some:
            report(finding)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        if tenant is None:
            cursor.execute(ORPHANS)
            found(*(Finding(*row) for row in cursor.fetchall()))
        try:
            with transaction.atomic():
                cursor.execute(LINKS, parameters)
                broken = [Finding(*row) for row in cursor.fetchall()]
                found(*broken)
                cursor.execute(STATES, {**parameters, "left_out": [finding.user_id for finding in broken]})
                found(*(Finding(*row) for row in cursor.fetchall()))
        except DataError as error:  # somebody wrote into the history what is no time or no list of ids
            uid, said = tenant.tenant_uid if tenant else None, str(error).splitlines()[0]
            found(Finding(uid, None, None, None, f"a row cannot be read: {said}"))
        cursor.execute(COUNTS, parameters)
        rows, employees, sessions = cursor.fetchone()
        return Verified(rows, employees, sessions, findings)


@dataclasses.dataclass(frozen=True)
class Head:
    """The last row of an employee's chain at some instant."""

    user_id: int
    seq: int
    digest: str  # hexadecimal


@dataclasses.dataclass(frozen=True)
class Anchor:
    """The ends of a tenant's chains at a month's end, and one digest over them to be kept elsewhere."""

    tenant_uid: str
    month: str  # YYYY-MM
    until: dt.datetime  # the month's end in the tenant's zone then, as UTC
    heads: tuple[Head, ...]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over the lines of `text` but the one with the digest."""
        return hashlib.sha256("\n".join(self._lines()).encode()).hexdigest()

    def text(self) -> str:
        """Return what a file holds. Its first line is for the printer."""
        first, *heads = self._lines()
        return "\n".join([first, f"digest {self.digest}", *heads]) + "\n"

    def _lines(self) -> list[str]:
        return [
            f"anchor {self.tenant_uid} {self.month} until {self.until:%Y-%m-%dT%H:%M:%SZ}",
            *(f"{head.user_id} {head.seq} {head.digest}" for head in self.heads),
        ]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote. ValueError if it is something else, or was edited."""
        first, digest, *heads = [*text.split("\n"), "", ""]
        found = re.fullmatch(r"anchor (\S+) (\d{4}-\d{2}) until (\S+)Z", first)
        rows = [re.fullmatch(r"(\d+) (\d+) ([0-9a-f]{64})", line) for line in heads if line]
        if not found or None in rows:
            raise ValueError("this is no anchor")
        anchor = cls(
            found[1],
            found[2],
            dt.datetime.fromisoformat(found[3]).replace(tzinfo=dt.UTC),
            tuple(Head(int(row[1]), int(row[2]), row[3]) for row in rows if row),
        )
        if digest != f"digest {anchor.digest}":
            raise ValueError("the digest of this anchor is not that of its list")
        return anchor


def month_end(month: str, tenant: Tenant) -> dt.datetime:
    """Return the instant (UTC) when a month, YYYY-MM, ends in the tenant's zone. ValueError for no month."""
    if not re.fullmatch(r"\d{4}-\d{2}", month):
        raise ValueError(f"{month} is not a month such as 2026-10")
    first = dt.date.fromisoformat(f"{month}-01")
    following = (first + dt.timedelta(days=31)).replace(day=1)
    return day_start(following, tenant.zone).astimezone(dt.UTC)


def anchor(tenant: Tenant, month: str) -> Anchor:
    """Return the anchor of a month that is over, by the rows written before it was.

    Whoever is just writing is waited for: their rows bear a time from after they locked their user.
    """
    until = month_end(month, tenant)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        _wait_for_writers(tenant)
        cursor.execute(HEADS, {"tenant": tenant.pk, "left_out": [], "until": until})
        heads = [Head(*row) for row in cursor.fetchall()]
    return Anchor(tenant.tenant_uid, month, until, tuple(heads))


def _wait_for_writers(tenant: Tenant) -> None:
    """Return when whoever was writing work sessions of the tenant's employees has ended.

    The locks last an instant: rolling back to a savepoint gives them up. Who writes afterwards writes
    rows with a time from then.
    """
    people = User.objects.in_scope().filter(tenant=tenant).order_by("pk")
    busy = set(people.values_list("pk", flat=True))
    with transaction.atomic():
        busy -= set(people.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
        transaction.set_rollback(True)
    for key in sorted(busy):
        with transaction.atomic():
            people.select_for_update(no_key=True).filter(pk=key).values_list("pk", flat=True).first()
            transaction.set_rollback(True)


def check(known: Anchor, tenant: Tenant) -> tuple[list[Finding], list[Finding]]:
    """Compare the chains as they are now with an anchor from before. Return findings, and mere notices.

    Who is not in the anchor but has rows of that time can have come into the tenant later, and is noticed.
    A row that retention removed is compared by what stands for it, and noticed only where that tells no more:
    if the tenant had another time zone when the anchor was made.
    """
    findings, removed = [], []
    parameters: dict[str, Any] = {
        "users": [head.user_id for head in known.heads],
        "seqs": [head.seq for head in known.heads],
        "until": known.until,
        "tenant": tenant.pk,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(KNOWN_HEADS, parameters)
        now = {(user_id, seq): found for user_id, seq, *found in cursor.fetchall()}
        cursor.execute(
            "SELECT DISTINCT h.user_id FROM work_session_history AS h JOIN users AS u ON u.id = h.user_id"
            " WHERE u.tenant_id = %(tenant)s AND h.at < %(until)s AND h.user_id <> ALL (%(users)s::bigint[])"
            " ORDER BY 1",
            parameters,
        )
        unlisted = [user_id for (user_id,) in cursor.fetchall()]
    for head in known.heads:
        digest, is_longer, is_removed = now[head.user_id, head.seq]
        problem = None
        if digest is None and is_removed and not is_longer:
            removed.append(
                Finding(known.tenant_uid, head.user_id, None, head.seq, "removed by retention since")
            )
        elif digest is None:
            problem = "the row that ended the chain is gone"
        elif digest != head.digest:
            problem = "the row that ended the chain, or one before it, was rewritten"
        elif is_longer:
            problem = "rows of that month were added after the anchor"
        if problem:
            findings.append(Finding(known.tenant_uid, head.user_id, None, head.seq, problem))
    notices = [
        Finding(
            known.tenant_uid,
            user_id,
            None,
            None,
            "not in the anchor, though with rows of that time; came into the tenant later?",
        )
        for user_id in unlisted
    ]
    return findings, removed + notices
