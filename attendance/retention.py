"""What is older than a tenant's retention: how much of it there is, its removal, and the record of that.

The rule. Work sessions, their history and the audit trail are kept for `tenants.retention_months` after the
end of the month that the work date belongs to, in the tenant's zone: 60 months unless told otherwise, never
less than 36. Article 109 of Japan's Labour Standards Act (Act No. 49 of 1947) has an employer keep records of
labour relations for five years; its supplementary article 143, paragraph 1, makes that three for the time
being. From when on is article 56 of the Ordinance for its Enforcement: from the record's completion, and if
wages are due later, from that day. So only such history goes as was written before the same instant.

What is expired is for the database to say, by its own clock: `purge_work_sessions()` and the like take no
date. docs/adr/0015-retention.md.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Final, Self

from django.db import DatabaseError, connection

from attendance import chains
from tenants import scope
from tenants.models import Tenant

# Of one employee, in one transaction: some tenths of a second, in which they cannot clock in.
AT_ONCE: Final = 200
AT_IT: Final = "somebody else is at it; it goes the next time"
# Of events and refused rows, for which nobody waits.
EVENTS_AT_ONCE: Final = 2000
PATIENCE: Final = "2s"
# Of ids, as PostgreSQL writes them.
SPAN: Final = re.compile(r"\[(\d+),(\d+)\)")
RUN: Final = re.compile(r"(\d{8}T\d{6})Z-[0-9a-f]{8}")

EMPLOYEES = """
    SELECT u.id
    FROM users AS u
    WHERE (u.tenant_id = %(tenant)s OR u.tenant_id IS NULL AND %(tenant)s::bigint IS NULL)
        AND (
            EXISTS (
                SELECT FROM work_sessions AS s
                WHERE s.user_id = u.id AND s.start_time < %(edge)s
                    AND (s.end_time <= %(edge)s OR s.end_unknown)
            )
            OR (
                SELECT h.at FROM work_session_history AS h
                WHERE h.user_id = u.id AND h.operation <> 'purge' ORDER BY h.seq LIMIT 1
            ) < %(edge)s
        )
    ORDER BY u.id
"""
EXPIRED_BY_MONTH = """
    SELECT to_char(started AT TIME ZONE %(zone)s, 'YYYY-MM'), count(*), array_agg(DISTINCT u.id)
    FROM unnest(%(employees)s::bigint[]) AS u (id)
    CROSS JOIN LATERAL expired_work_sessions(u.id, %(edge)s) AS e
    WHERE e.is_there
    GROUP BY 1
    ORDER BY 1
"""
STILL_THERE = """
    SELECT DISTINCT u.id
    FROM unnest(%(employees)s::bigint[]) AS u (id)
    CROSS JOIN LATERAL expired_work_sessions(u.id, %(edge)s) AS e
    WHERE e.is_there
"""
EVENTS = """
    SELECT count(*) FROM audit_events
    WHERE (tenant_id = %(tenant)s OR tenant_id IS NULL AND %(tenant)s::bigint IS NULL)
        AND at < %(edge)s AND kind NOT LIKE 'retention.%%'
"""
REFUSED = """
    SELECT count(*) FROM import_quarantine
    WHERE (tenant = %(tenant)s OR tenant IS NULL AND %(tenant)s::bigint IS NULL) AND created_at < %(edge)s
"""
# Tenants that are there, those that are gone and left something, and nobody. By steps through the index.
OWNERS = """
    WITH RECURSIVE of_events (id) AS (
        (SELECT tenant_id FROM audit_events WHERE tenant_id IS NOT NULL ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT a.tenant_id FROM audit_events AS a
            WHERE a.tenant_id > of_events.id ORDER BY a.tenant_id LIMIT 1
        )
        FROM of_events WHERE of_events.id IS NOT NULL
    )
    SELECT id FROM of_events
    UNION SELECT id FROM tenants
    UNION SELECT tenant FROM import_quarantine
    UNION SELECT NULL
    ORDER BY 1 NULLS LAST
"""
PURGES = """
    SELECT
        h.user_id, h.seq, h.at, h.actor_id, h.actor_name, h.door, h.reason, encode(h.digest, 'hex'),
        h.after::text
    FROM work_session_history AS h JOIN users AS u ON u.id = h.user_id
    WHERE h.operation = 'purge' AND h.after ->> 'run' = %(run)s
        AND (u.tenant_id = %(tenant)s OR u.tenant_id IS NULL AND %(tenant)s::bigint IS NULL)
    ORDER BY h.user_id, h.seq
"""
PURGE_EVENTS = """
    SELECT id, at, kind, actor_id, actor_name, door, reason, after::text
    FROM audit_events
    WHERE (tenant_id = %(tenant)s OR tenant_id IS NULL AND %(tenant)s::bigint IS NULL)
        AND at >= %(begun)s AND kind LIKE 'retention.%%' AND after ->> 'run' = %(run)s
    ORDER BY id
"""


@dataclasses.dataclass(frozen=True)
class Owner:
    """Whose records: a tenant's, one's that is gone, or nobody's."""

    pk: int | None
    uid: str
    tenant: Tenant | None = None

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Return a tenant as an owner of records."""
        return cls(tenant.pk, tenant.tenant_uid, tenant)


@dataclasses.dataclass(frozen=True)
class Rule:
    """For how many months after a month's end records are kept, and before what instant (UTC) they go."""

    months: int
    zone: str
    edge: dt.datetime


@dataclasses.dataclass
class Amount:
    """How much of an owner's records is, or was, older than the retention. By month, YYYY-MM."""

    months: dict[str, int] = dataclasses.field(default_factory=dict)
    employees: int = 0
    rows_of_history: int = 0
    audit_events: int = 0
    refused_rows: int = 0
    # Whose records stayed, and why.
    left: dict[int, str] = dataclasses.field(default_factory=dict)

    def is_any(self) -> bool:
        """Whether there is anything."""
        return bool(self.work_sessions or self.rows_of_history or self.audit_events or self.refused_rows)

    @property
    def work_sessions(self) -> int:
        """Of all months."""
        return sum(self.months.values())


def owners() -> list[Owner]:
    """Return whose records there are, as far as the scope reaches."""
    tenants = {tenant.pk: tenant for tenant in Tenant.objects.in_scope()}
    found = [pk for (pk,) in _rows(OWNERS, {})]
    return [
        Owner.of(tenants[pk]) if pk in tenants else Owner(pk, f"(gone: {pk})" if pk else "(none)")
        for pk in found
    ]


def rule_of(owner: Owner) -> Rule:
    """Return what holds now, by PostgreSQL's clock. DatabaseError for a zone that it does not know."""
    ((months, zone, edge),) = _rows(
        "SELECT months, zone, edge FROM retention_of(%(tenant)s)", {"tenant": owner.pk}
    )
    return Rule(months, zone, edge)


def expired(owner: Owner, rule: Rule) -> Amount:
    """Count what is older than the retention. Reads only."""
    named: dict[str, Any] = {"tenant": owner.pk, "edge": rule.edge, "zone": rule.zone}
    named["employees"] = _employees(owner, rule)
    months = _rows(EXPIRED_BY_MONTH, named)
    ((events,),) = _rows(EVENTS, named)
    ((refused,),) = _rows(REFUSED, named)
    return Amount(
        months={month: number for month, number, _people in months},
        employees=len({pk for _month, _number, people in months for pk in people}),
        audit_events=events,
        refused_rows=refused,
    )


def new_run() -> str:
    """Return the name of a run, which begins with the moment (UTC) by PostgreSQL's clock."""
    ((now,),) = _rows("SELECT clock_timestamp()", {})
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def purge(owner: Owner, run: str, reason: str, *, each: Callable[[], object] = lambda: None) -> Amount:
    """Remove what is older than the retention, a transaction for some of it at a time. Outside of any scope.

    Whose history is not as it was written keeps all of it: what is wrong must not go with the old. Whom
    somebody else keeps locked for some seconds is tried once more at the end. Both are named in `left`.
    `each` is called after each transaction.
    """
    amount = Amount()
    with scope.everything(reason):
        rule = rule_of(owner)
        waiting = everybody = _employees(owner, rule)
        # Of nobody's there is no chain of a tenant to walk; the database looks at what goes, all the same.
        if owner.tenant and waiting:
            for finding in chains.verify(owner.tenant).findings:
                amount.left[finding.user_id or 0] = str(finding)
    if 0 in amount.left:
        waiting = []
    for tried_before in (False, True):
        busy: list[int] = []
        for employee in waiting:
            if employee not in amount.left:
                try:
                    _purge_employee(employee, run, reason, amount, each)
                except DatabaseError as error:
                    match _sqlstate(error):
                        case "55P03" | "40P01":  # a lock that somebody else holds for too long, or a deadlock
                            busy.append(employee)
                        case "XX001":  # data_corrupted
                            amount.left[employee] = str(error).splitlines()[0]
                        case _:
                            raise
        waiting = busy
        if tried_before:
            amount.left.update(dict.fromkeys(busy, AT_IT))
    if 0 not in amount.left:
        _name_what_stayed(everybody, rule, reason, amount)
    amount.audit_events = _purge_rows("purge_audit_events", owner, run, reason, each)
    amount.refused_rows = _purge_rows("purge_import_quarantine", owner, run, reason, each)
    return amount


def _purge_employee(employee: int, run: str, reason: str, amount: Amount, each: Callable[[], object]) -> None:
    has_had_some, taken = False, AT_ONCE
    # Fewer than that may be because others hold some: they are passed over, and what comes after them is not.
    while taken:
        went = _call("purge_work_sessions", employee, run, AT_ONCE, reason)
        if went is None:
            break
        for month, number in went["months"].items():
            amount.months[month] = amount.months.get(month, 0) + number
            has_had_some = True
        amount.rows_of_history += went["rows"]
        each()
        taken = sum(int(end) - int(first) for first, end in SPAN.findall(went["ids"]))
    amount.employees += has_had_some


def _name_what_stayed(employees: list[int], rule: Rule, reason: str, amount: Amount) -> None:
    with scope.everything(reason):
        for (employee,) in _rows(STILL_THERE, {"employees": employees, "edge": rule.edge}):
            amount.left.setdefault(employee, AT_IT)


def _purge_rows(function: str, owner: Owner, run: str, reason: str, each: Callable[[], object]) -> int:
    removed = 0
    while went := _call(function, owner.pk, run, EVENTS_AT_ONCE, reason):
        removed += went["rows"]
        each()
    return removed


def _call(function: str, whose: int | None, run: str, at_most: int, reason: str) -> dict[str, Any] | None:
    with scope.everything(reason), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute(f"SELECT {function}(%s, %s, %s)::text", [whose, run, at_most])
        (went,) = cursor.fetchone()
    return json.loads(went) if went else None


def _sqlstate(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


# --- the manifest -----------------------------------------------------------------------------------------


def manifest(run: str) -> dict[str, Any]:
    """Return what a run removed, when, who ran it and by what rule, as the database has it. Reads only.

    For each employee the row of the chain that says it, with its digest; for each tenant the events of its
    audit trail that say it. At the end a digest, SHA-256, over all of it. ValueError for what is no run.
    """
    named = RUN.fullmatch(run)
    if not named:
        raise ValueError(f"{run} is not the name of a run such as 20261101T030000Z-0123abcd")
    begun = dt.datetime.strptime(named[1], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    tenants = [entry for owner in owners() if (entry := _entry(owner, run, begun))]
    told = {"run": run, "begun": f"{begun:%Y-%m-%dT%H:%M:%SZ}", "tenants": tenants}
    return {**told, "digest": digest_of(told)}


def digest_of(told: dict[str, Any]) -> str:
    """Return the digest of a manifest but for the digest in it: over its JSON, keys sorted, no space."""
    text = json.dumps(
        {key: value for key, value in told.items() if key != "digest"},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(owner: Owner, run: str, begun: dt.datetime) -> dict[str, Any] | None:
    named = {"tenant": owner.pk, "run": run, "begun": begun}
    purges = [
        {
            "employee": user_id,
            "row": seq,
            "row_digest": digest,
            "at": _instant(at),
            "by": {"id": actor_id, "name": actor_name, "door": door, "reason": reason},
            **{key: value for key, value in json.loads(after).items() if key != "run"},
        }
        for user_id, seq, at, actor_id, actor_name, door, reason, digest, after in _rows(PURGES, named)
    ]
    events = [
        {
            "event": pk,
            "kind": kind.removeprefix("retention."),
            "at": _instant(at),
            "by": {"id": actor_id, "name": actor_name, "door": door, "reason": reason},
            **{key: value for key, value in json.loads(after).items() if key != "run"},
        }
        for pk, at, kind, actor_id, actor_name, door, reason, after in _rows(PURGE_EVENTS, named)
    ]
    if not purges and not events:
        return None
    months: dict[str, int] = {}
    for purged in purges:
        for month, number in purged["months"].items():
            months[month] = months.get(month, 0) + number
    return {
        "tenant": owner.uid,
        "months": months,
        "work_sessions": {
            "number": sum(months.values()),
            "first_id": min((p["first_id"] for p in purges if p["sessions"]), default=None),
            "last_id": max((p["last_id"] for p in purges if p["sessions"]), default=None),
            "rows_of_history": sum(p["rows"] for p in purges),
        },
        "employees": purges,
        "events": events,
    }


def _instant(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


# --- the database -----------------------------------------------------------------------------------------


def _employees(owner: Owner, rule: Rule) -> list[int]:
    """Return who may have something that is older."""
    return [pk for (pk,) in _rows(EMPLOYEES, {"tenant": owner.pk, "edge": rule.edge})]


def _rows(query: str, named: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(query, named)
        return list(cursor.fetchall())
