"""A tenant's people, all their work sessions and the whole history of these, in one file.

For who leaves, and before a tenant is closed. Not in it: the audit trail, and rows that an import refused.

Times are in UTC (RFC 3339), to the microsecond, so that nothing of them depends on a zone.
Digests are in hexadecimal.
"""

import csv
import datetime as dt
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from accounts.models import User
from accounts.people import readable_code
from accounts.platform import digest
from attendance.cells import new_file, rewound
from attendance.exports import Export
from attendance.models import WorkSession, WorkSessionHistory
from attendance.platform_reports import changes_of
from tenants.models import Tenant
from timerecord.core.spreadsheets import safe_cell

ZIP: Final = "application/zip"
# How many people's records are in memory at a time.
CHUNK: Final = 20

PEOPLE: Final = ("id", "last_name", "first_name", "username", "email", "role", "status", "created_at")
SESSIONS: Final = ("id", "user_id", "start_time", "end_time", "end_unknown", "created_at")
HISTORY: Final = (
    "user_id", "seq", "work_session_id", "operation", "at", "actor_id", "actor_name", "actor_role", "door",
    "address", "reason", "before", "after", "previous", "digest",
)  # fmt: skip


def archive(tenant: Tenant, now: dt.datetime) -> tuple[Export, dict[str, Any]]:
    """Return a ZIP with a tenant's people, their work sessions and the history of these, as CSV in UTF-8.

    And what its event keeps: `changes`, how often the records had been changed when it was begun (it has all
    of those changes, perhaps more), and `code_digest`, of the code in it that shows that it arrived.
    In a scope that reaches the tenant. Memory holds the records of CHUNK people.
    """
    changes, code = changes_of(tenant.pk), readable_code()
    people = list(User.objects.in_scope().filter(tenant=tenant).order_by("pk").values_list(*PEOPLE))
    ids = [row[0] for row in people]
    with new_file() as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        facts = {
            "tenant_uid": tenant.tenant_uid,
            "name": tenant.name,
            "time_zone": tenant.time_zone,
            "as_of": now.astimezone(dt.UTC).isoformat(),
            "changes": changes,
            "closing_code": code,
        }
        parts.writestr("tenant.json", json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
        _write(parts, "people.csv", PEOPLE, people)
        _write(parts, "work_sessions.csv", SESSIONS, _sessions(ids))
        _write(parts, "history.csv", HISTORY, _history(ids))
    return Export(f"{tenant.tenant_uid}_{now:%Y%m%d}.zip", ZIP, file, rewound(file)), {
        "changes": changes,
        "code_digest": digest(code),
    }


def _sessions(ids: list[int]) -> Iterator[Sequence[Any]]:
    for some in _chunks(ids):
        rows = WorkSession.objects.in_scope().filter(user__in=some).order_by("user", "start_time", "pk")
        yield from rows.values_list(*SESSIONS)


def _history(ids: list[int]) -> Iterator[Sequence[Any]]:
    for some in _chunks(ids):
        rows = WorkSessionHistory.objects.in_scope().filter(user__in=some).order_by("user", "seq")
        yield from rows.values_list(*HISTORY)


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(ids), CHUNK):
        yield ids[at : at + CHUNK]


def _write(parts: zipfile.ZipFile, name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        parts.open(name, "w", force_zip64=True) as raw,
        io.TextIOWrapper(raw, "utf-8-sig", newline="") as text,
    ):
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(head)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    match value:
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat()
        case bytes() | memoryview():
            return value.hex()
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case str():
            return safe_cell(value)
        case _other:
            return value
