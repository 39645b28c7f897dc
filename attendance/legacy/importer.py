"""Writing what a plan says: bulk, in one transaction that somebody else begins and ends."""

import base64
import contextlib
import hashlib
import json
import math
import struct
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import connection
from psycopg import Copy
from psycopg.types.json import Jsonb

from attendance.import_models import ImportSource, QuarantinedRow
from attendance.legacy import rows, values
from attendance.legacy.plan import Plan
from attendance.legacy.reader import BadText, RawRow, Value
from attendance.legacy.rows import (
    PASSWORD_RESETS,
    REFERENCES,
    ROW_TYPES,
    SMALL_TABLES,
    TABLES,
    TENANTS,
    TIMES,
    USERS,
    WORK_SESSIONS,
    Row,
    SessionRow,
    UserRow,
)
from attendance.legacy.staging import READY, Progress, quiet, raw_digest
from attendance.legacy.target import Lineage, from_elsewhere, is_orphan, last_value, tenant_by_uid
from timerecord.core import clock

# One import at a time: "timerec" in ASCII.
LOCK = 0x74696D65726563
_BUFFER = 1 << 16
_IDS_AT_ONCE = 10_000
# PostgreSQL's binary COPY counts microseconds from 2000-01-01, not from 1970-01-01.
_EPOCH_2000 = 946_684_800 * values.SECOND
_COPY_START = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)
# int16 number of columns, then for each its int32 length (-1 for NULL) and its bytes.
_CLOSED_SESSION = struct.Struct(">h iq iq iq iq i? iq")
_OPEN_SESSION = struct.Struct(">h iq iq iq i i? iq")
_DIGEST_BYTES = 32


class ChangedMeanwhileError(Exception):
    """Somebody wrote rows that the plan did not know."""


def take_turn(say: Callable[[str], None]) -> None:
    """Wait until no other import is running, and say so before; let no time-out end this transaction.

    The lock goes with the transaction, however that ends. PostgreSQL looks every second whether this
    process is still there: of one that was killed, neither lock nor half-done work stays longer.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '1s' ELSE '0'"
            " END, true) FROM pg_settings WHERE name IN ('client_connection_check_interval', 'lock_timeout',"
            " 'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
        )
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone()[0]:
            return
        cursor.execute(
            "SELECT to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), l.pid"
            " FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.granted"
            " AND l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database"
            " WHERE datname = current_database()) AND (l.classid::bigint << 32 | l.objid::bigint) = %s"
            " AND l.objsubid = 1",
            [LOCK],
        )
        since, pid = cursor.fetchone() or (None, None)
        holder = f" (since {since or 'unknown'}, pid {pid} of PostgreSQL)" if pid else ""
        say(f"Waiting: another import holds the lock{holder}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def write(plan: Plan, progress: Progress[Any] = quiet) -> ImportSource | None:
    """Write what is ready, what was refused and what has no place. None if there was nothing to write.

    ChangedMeanwhileError if rows appeared that the plan could not know; the caller rolls back.
    """
    if not (plan.ready or plan.refused or plan.kept):
        return None
    source = _source(plan)
    ids: dict[str, dict[int, int]] = {table: plan.target.row_ids(table) for table in (TENANTS, USERS)}
    orphan_tenant = None
    for table in SMALL_TABLES:
        if table == USERS and plan.options.tenant_for_orphans:
            orphan_tenant = tenant_by_uid(plan.options.tenant_for_orphans)
        _write_small(plan, source, table, ids, orphan_tenant)
    _write_sessions(plan, source, ids[USERS], progress)
    _write_quarantine(plan, source, ids)
    _raise_sequences(plan)
    _check_ids(plan, source)
    return source


def analyze() -> None:
    """Let the planner know of the rows. Outside of the import's transaction."""
    with connection.cursor() as cursor:
        for table in (*TABLES, "imported_rows"):
            cursor.execute(f"ANALYZE {table}")


def _source(plan: Plan) -> ImportSource:
    source, lineage = plan.staged.source, plan.target.lineage
    orphan_tenant_uid = lineage.orphan_tenant_uid if lineage else None
    if plan.orphans:
        orphan_tenant_uid = plan.options.tenant_for_orphans or orphan_tenant_uid
    options = {
        "tenant_for_orphans": orphan_tenant_uid,
        "reset_tables": sorted(plan.options.reset_tables),
    }
    counts = {
        table: {
            "read": found.read,
            "moved": found.ready + found.already,
            "refused": len(found.refused) + found.in_quarantine,
            "left_behind": dict(found.left_behind),
        }
        for table, found in plan.tables.items()
    }
    if lineage is not None and lineage.exact is not None:
        lineage.exact.options, lineage.exact.row_counts = options, counts
        lineage.exact.save(update_fields=["options", "row_counts"])
        return lineage.exact
    return ImportSource.objects.create(
        digest=source.digest,
        continues_id=lineage.root_id if lineage else None,
        file_name=source.path.name,
        generation=source.generation,
        imported_at=clock.now(),
        row_counts=counts,
        options=options,
    )


def lineage_of(source: ImportSource, before: Lineage | None) -> Lineage:
    """Return the imports of one old database, the one just written among them."""
    if before is None:
        return Lineage(source.pk, (source.pk,), source, source)
    ids = before.source_ids if source.pk in before.source_ids else (*before.source_ids, source.pk)
    return Lineage(before.root_id, ids, source, source)


def _new_ids(table: str, wanted: int) -> Sequence[int]:
    """Return ids that the table's sequence gives to nobody else: in ascending order, as it gives them."""
    found = array("q")
    with connection.cursor() as cursor:
        while len(found) < wanted:
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
                [table, min(_IDS_AT_ONCE, wanted - len(found))],
            )
            found.extend(key for (key,) in cursor.fetchall())
    return found


def _write_small(
    plan: Plan,
    source: ImportSource,
    table: str,
    ids: dict[str, dict[int, int]],
    orphan_tenant: int | None,
) -> None:
    found = plan.small[table]
    if not found:
        return
    keeps_ids = plan.tables[table].keeps_ids
    row_ids = [row.id for row in found] if keeps_ids else _new_ids(table, len(found))
    columns = ROW_TYPES[table]._fields
    with _copy(table, ", ".join(columns)) as copy:
        for row, row_id in zip(found, row_ids, strict=True):
            written = [_as_here(column, getattr(row, column), ids) for column in columns]
            written[0] = row_id
            if isinstance(row, UserRow) and is_orphan(row):
                written[columns.index("tenant_id")] = orphan_tenant
            copy.write_row(written)
    if table in ids:
        ids[table].update((row.id, row_id) for row, row_id in zip(found, row_ids, strict=True))
    _write_origins(source, table, zip(found, row_ids, strict=True))


def _as_here(column: str, value: Any, ids: dict[str, dict[int, int]]) -> Any:
    if value is None:
        return None
    if column in TIMES:
        return values.to_datetime(value)
    return ids[REFERENCES[column]][value] if column in REFERENCES else value


def _write_sessions(
    plan: Plan, source: ImportSource, user_ids: dict[int, int], progress: Progress[Any]
) -> None:
    """Write the work sessions in the ascending order of their starts."""
    total = plan.tables[WORK_SESSIONS].ready
    if not total:
        return

    def ready() -> Iterator[SessionRow]:
        return plan.staged.sessions(state=READY, by="start, id")

    new_ids = None if plan.tables[WORK_SESSIONS].keeps_ids else _new_ids(WORK_SESSIONS, total)

    def with_ids() -> Iterator[tuple[SessionRow, int]]:
        if new_ids is None:
            return ((row, row.id) for row in ready())
        return zip(ready(), new_ids, strict=True)

    def packed() -> Iterator[bytes]:
        for row, row_id in progress(with_ids(), total, "writing work sessions"):
            user_id = user_ids[row.user_id]
            start, created = row.start_time - _EPOCH_2000, row.created_at - _EPOCH_2000
            if row.end_time is None:
                yield _OPEN_SESSION.pack(6, 8, row_id, 8, user_id, 8, start, -1, 1, False, 8, created)
            else:
                end = row.end_time - _EPOCH_2000
                yield _CLOSED_SESSION.pack(6, 8, row_id, 8, user_id, 8, start, 8, end, 1, False, 8, created)

    _copy_binary(WORK_SESSIONS, "id, user_id, start_time, end_time, end_unknown, created_at", packed())
    _write_origins(source, WORK_SESSIONS, progress(with_ids(), total, "noting where they came from"))


def _write_origins(source: ImportSource, table: str, found: Iterable[tuple[Row, int]]) -> None:
    name = table.encode()
    layout = struct.Struct(f">h iq i{len(name)}s iq iq i{_DIGEST_BYTES}s")
    _copy_binary(
        "imported_rows",
        "source_id, table_name, legacy_id, row_id, digest",
        (
            layout.pack(
                5, 8, source.pk, len(name), name, 8, row.id, 8, row_id, _DIGEST_BYTES, rows.digest(row)
            )
            for row, row_id in found
        ),
    )


@contextlib.contextmanager
def _copy(table: str, columns: str, options: str = "") -> Iterator[Copy]:
    """Take rows in by COPY, which cannot write to a table with row-level security: so by way of another."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"  # noqa: S608
        )
        with cursor.copy(f"COPY incoming FROM STDIN {options}") as copy:
            yield copy
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming")  # noqa: S608
        cursor.execute("DROP TABLE incoming")


def _copy_binary(table: str, columns: str, packed: Iterable[bytes]) -> None:
    buffer = bytearray(_COPY_START)
    with _copy(table, columns, "(FORMAT BINARY)") as copy:
        for row in packed:
            buffer += row
            if len(buffer) > _BUFFER:
                copy.write(bytes(buffer))
                buffer.clear()
        copy.write(bytes(buffer + _COPY_END))


# --- what is refused, and what has no place -------------------------------------------------------------
def _write_quarantine(plan: Plan, source: ImportSource, ids: dict[str, dict[int, int]]) -> None:
    columns = "source_id, tenant, table_name, legacy_id, row, reason_code, reason, digest, created_at"
    now = clock.now()
    kept_rows = plan.kept_rows()
    with _copy("import_quarantine", columns) as copy:
        tenants = _tenants_of_users(plan, ids)
        seen = Counter[tuple[str, str, bytes]]()
        for table, found in plan.tables.items():
            for row in found.refused:
                raw = plan.staged.raw(row)
                tenant = _tenant(table, raw, ids, tenants)
                code, reason = row.reasons[0].code, "; ".join(reason.text for reason in row.reasons)
                digest = _told_apart(seen, table, code, raw_digest(table, raw))
                content = Jsonb(as_json(table, raw))
                copy.write_row(
                    (source.pk, tenant, table, row.legacy_id, content, code.value, reason, digest, now)
                )
        for kept in kept_rows:
            tenant = _tenant(kept.table, kept.values, ids, tenants)
            content = Jsonb(as_json(kept.table, kept.values))
            reason = f"the new schema has no place for {kept.table}"
            if kept.code is values.Code.UNKNOWN_COLUMN:
                reason += "." + ", ".join(column for column in kept.values if column != "id")
            copy.write_row(
                (
                    source.pk,
                    tenant,
                    kept.table,
                    kept.legacy_id,
                    content,
                    kept.code.value,
                    reason,
                    kept.digest,
                    now,
                )
            )
    QuarantinedRow.objects.filter(pk__in=plan.settled, resolved_at__isnull=True).update(resolved_at=now)


def _told_apart(seen: Counter[tuple[str, str, bytes]], table: str, code: str, digest: bytes) -> bytes:
    """Return a digest of its own for each of several rows that are equal in everything."""
    seen[table, code, digest] += 1
    count = seen[table, code, digest]
    return digest if count == 1 else hashlib.sha256(digest + b"%d" % count).digest()


def _tenants_of_users(plan: Plan, ids: dict[str, dict[int, int]]) -> dict[int, int]:
    """Return the tenants here of users, by the users' old ids."""
    found = {}
    for key, user in plan.staged.users().items():
        tenant = ids[TENANTS].get(user.tenant_id) if user.tenant_id is not None else None
        if tenant is not None:
            found[key] = tenant
    return found


def _tenant(table: str, raw: RawRow, ids: dict[str, dict[int, int]], of_users: dict[int, int]) -> int | None:
    """Return the id here of the tenant whose a row is, if that can be told."""
    for column, known in (("tenant_id", ids[TENANTS]), ("user_id", of_users), ("employee_id", of_users)):
        value = raw.get(column)
        if isinstance(value, int) and value in known:
            return known[value]
    key = raw.get("id")
    if isinstance(key, int) and table in (TENANTS, USERS):
        return (ids[TENANTS] if table == TENANTS else of_users).get(key)
    return None


def as_json(table: str, raw: RawRow) -> dict[str, Any]:
    """Return a row of the file, whole, as JSON can hold it. Of a reset token only the SHA-256."""
    found = {column: _json_value(value) for column, value in raw.items()}
    token = raw.get("token")
    if table == PASSWORD_RESETS and token is not None:
        found["token"] = {"$sha256": values.sha256_of(token)}
    return found


def _json_value(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    if isinstance(value, BadText):
        return {"$text_base64": base64.b64encode(value.raw).decode()}
    if isinstance(value, str) and "\0" in value:
        return {"$text_base64": base64.b64encode(value.encode()).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$real": json.dumps(value)}
    return value


# --- ids -----------------------------------------------------------------------------------------------
def _raise_sequences(plan: Plan) -> None:
    """Let every sequence go on above all ids that the file ever gave. Never lower one."""
    with connection.cursor() as cursor:
        for table in TABLES:
            highest = plan.staged.highest_id(table)
            if highest > last_value(table):
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, highest])


def _check_ids(plan: Plan, source: ImportSource) -> None:
    """Look once more whether somebody took an id of the file meanwhile, one of a deleted row for example."""
    lineage = lineage_of(source, plan.target.lineage)
    for table, found in plan.tables.items():
        if found.ready and found.keeps_ids:
            count, lowest = from_elsewhere(lineage, table, plan.staged.highest_id(table))
            if count:
                raise ChangedMeanwhileError(f"somebody else's row took the id {lowest} of {table}")
