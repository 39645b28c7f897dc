"""What an import or a verification says: on the screen, and in a file that a person can sign."""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from attendance.legacy.compare import Difference
from attendance.legacy.plan import Plan
from attendance.legacy.reader import SESSION_TABLE, Source
from attendance.legacy.rows import RefusedRow, UserRow
from attendance.legacy.staging import Staged
from attendance.legacy.verification import MonthCheck, Verification

FORMAT = 1
SHOWN = 20


def found_lines(source: Source) -> Iterator[str]:
    """Yield what a file holds, for the screen."""
    yield f"{source.path.name}: generation {source.generation:d}; {source.wal}"
    with_wal = source.wal.frames > 0
    heads = ["found in the file", "rows", *(["without the -wal"] if with_wal else [])]
    body = []
    for name, table in sorted(source.tables.items()):
        alone = "?" if table.rows_without_wal is None else f"{table.rows_without_wal:,}"
        body.append([name, f"{table.rows:,}", *([alone] if with_wal else [])])
    yield from _columns(heads, body)
    for name, count in source.foreign_key_violations.items():
        yield f"NOTE: {count:,} rows of {name} refer to rows that are not there"
    for notice in source.notices:
        yield f"NOTE: {notice}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield what would become of each row, for the screen."""
    heads = ["table", "read", "ready", "already there", "in quarantine", "in conflict", "left behind", "ids"]
    body = []
    for name, table in plan.tables.items():
        numbers = (
            table.read,
            table.ready,
            table.already,
            table.in_quarantine,
            len(table.refused),
            table.left_behind.total(),
        )
        ids = ("kept" if table.keeps_ids else "new") if table.ready else "-"
        body.append([name, *(f"{number:,}" for number in numbers), ids])
    yield from _columns(heads, body)
    yield from _remarks(plan)
    for blocker in plan.blockers:
        yield f"CONFLICT: {blocker}"
    refused = [row for table in plan.tables.values() for row in table.refused]
    if refused:
        codes = Counter(row.reasons[0].code.value for row in refused)
        yield "In conflict: " + ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
        yield from _first(
            [f"  {row.table} {_id(row)}: {'; '.join(r.text for r in row.reasons)}" for row in refused]
        )


def _remarks(plan: Plan) -> Iterator[str]:
    staged = plan.staged
    for name, table in plan.tables.items():
        for why, count in sorted(table.left_behind.items()):
            yield f"Left behind: {count:,} rows of {name}, {why}"
    if staged.sessions_left_behind:
        yield f"Left behind: {staged.sessions_left_behind:,} rows of {SESSION_TABLE}: everybody signs in anew"
    for name, column_or_rows, count in _unknown(staged):
        yield f"UNKNOWN, kept in the quarantine: {name}{column_or_rows}: {count:,}"
    if plan.kept_already:
        yield f"Of what is unknown, {plan.kept_already:,} rows are kept already"
    if staged.normalised_emails:
        yield f"{len(staged.normalised_emails):,} e-mail addresses lose capitals, spaces or byte order marks"
    if plan.orphans:
        where = plan.options.tenant_for_orphans
        yield f"{plan.orphans:,} employees have no tenant: " + (
            f"they go into {where}" if where else "they cannot clock in. --tenant-for-orphans names one"
        )
    explained = sum(len(table.explained) for table in plan.tables.values())
    if explained:
        yield f"Of the rows already there {explained:,} values changed by use since, which is no conflict"
    for notice in (*staged.missing, *plan.notices):
        yield f"NOTE: {notice}"
    placeholders = staged.placeholder_users()
    if placeholders:
        yield f"{len(placeholders):,} accounts have a placeholder address, no mail can reach them:"
        yield from _first([f"  users {user.id}: {user.email}" for user in placeholders])


def _unknown(staged: Staged) -> Iterator[tuple[str, str, int]]:
    for table, count in staged.unknown_tables.items():
        yield table, " (a table), rows", count
    for (table, column), count in staged.unknown_columns.items():
        yield table, f".{column} (a column), rows with a value", count


def verification_lines(found: Verification) -> Iterator[str]:
    """Yield what a comparison found, for the screen and for the signature."""
    heads = ["verified", "in the file", "moved", "quarantined", "left behind", "missing", "here", "checksum"]
    body = []
    for name, table in found.tables.items():
        numbers = (
            table.file_rows,
            table.moved,
            table.quarantined,
            table.left_behind,
            table.missing,
            table.database_rows,
        )
        body.append([name, *(f"{number:,}" for number in numbers), _verdict(name, found)])
    yield from _columns(heads, body)
    for name, table in found.tables.items():
        yield f"SHA-256 of {name}: file {table.file_checksum}, database {table.database_checksum}"
        if not table.sequence_above:
            yield f"DIFFERENT: the sequence of {name} is below an id that the old database gave"
    if found.kept or found.kept_missing:
        yield f"Without a place, kept aside: {found.kept - found.kept_missing:,} of {found.kept:,}"
    explained = [difference for difference in found.differences if difference.explained]
    others = [difference for difference in found.differences if not difference.explained]
    if explained:
        whys = Counter(difference.explained for difference in explained)
        for why, count in whys.most_common():
            yield f"Explained: {count:,} values: {why}"
    if others:
        yield f"DIFFERENT without explanation: {len(others):,} values"
        yield from _first([f"  {_difference(difference)}" for difference in others])
    yield from _minute_lines(found)


def _verdict(name: str, found: Verification) -> str:
    table = found.tables[name]
    if table.file_checksum == table.database_checksum:
        return "equal"
    return "explained" if table.file_checksum == table.explained_checksum else "DIFFERENT"


def _minute_lines(found: Verification) -> Iterator[str]:
    months = found.months
    if not months:
        return
    total = MonthCheck()
    for month in months.values():
        for field in dataclasses.fields(MonthCheck):
            setattr(total, field.name, getattr(total, field.name) + getattr(month, field.name))
    people = len({user for user, _ in months})
    differ = sum(month.before != month.now for month in months.values())
    wrong = {key: month for key, month in months.items() if month.unexplained}
    yield (
        f"Minutes of {people:,} employees in {len(months):,} months: {total.before:,} as counted before,"
        f" {total.now:,} now; {differ:,} months differ, {len(wrong):,} of them without explanation"
    )
    for amount, why in (
        (total.seconds, "start and end lose their seconds once, not each piece between midnights"),
        (total.zone, "the tenant's time zone is not Asia/Tokyo"),
        (total.quarantined, "sessions in the quarantine"),
        (total.since, "sessions that ended since the import, or came with another state of the file"),
    ):
        if amount:
            yield f"  {amount:+,} minutes: {why}"
    yield from _first(
        [
            f"  users {user}, {year}-{month:02}: {check.before} before, {check.explained} expected,"
            f" {check.now} now"
            for (user, (year, month)), check in sorted(wrong.items())
        ]
    )


def statement(found: Verification, source: Source, now: dt.datetime) -> list[str]:
    """Return what a person signs."""
    return [
        f"Move of {source.path.name}, SHA-256 of its content {source.digest},"
        f" verified on {now:%Y-%m-%d %H:%M} UTC.",
        *verification_lines(found),
        "Result: " + ("no difference without explanation." if found.is_right else "THERE ARE DIFFERENCES."),
        "Name: ____________________  Date: ____________  Signature: ____________________",
    ]


def as_json(
    *,
    mode: str,
    now: dt.datetime,
    exit_status: int,
    last_line: str,
    source: Source | None,
    staged: Staged | None,
    plan: Plan | None,
    verification: Verification | None,
) -> dict[str, Any]:
    """Return the whole report. It holds names and addresses, but no hash of a password and no token."""
    report: dict[str, Any] = {
        "format": FORMAT,
        "mode": mode,
        "made_at": now.isoformat(),
        "exit_status": exit_status,
        "last_line": last_line,
    }
    if source is not None:
        report["source"] = {
            "file": source.path.name,
            "content_sha256": source.digest,
            "generation": int(source.generation),
            "write_ahead_log": {"told": str(source.wal), **dataclasses.asdict(source.wal)},
            "tables": {
                name: {
                    "rows": table.rows,
                    "rows_without_wal": table.rows_without_wal,
                    "highest_id_ever": table.sequence,
                    "columns": table.columns,
                }
                for name, table in source.tables.items()
            },
            "foreign_key_violations": dict(source.foreign_key_violations),
            "notices": source.notices,
        }
    if staged is not None:
        report["placeholder_accounts"] = [_account(user) for user in staged.placeholder_users()]
        report["normalised_emails"] = staged.normalised_emails
        report["sessions_left_behind"] = staged.sessions_left_behind
        report["unknown_tables"] = staged.unknown_tables
        report["unknown_columns"] = {
            f"{table}.{column}": count for (table, column), count in staged.unknown_columns.items()
        }
        report["missing"] = staged.missing
    if plan is not None:
        report["plan"] = _plan(plan)
    if verification is not None and source is not None and staged is not None:
        report["verification"] = _verification(verification, staged)
        report["statement"] = statement(verification, source, now)
    return report


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "options": dataclasses.asdict(plan.options),
        "tables": {
            name: {
                "read": table.read,
                "ready": table.ready,
                "already_there": table.already,
                "in_quarantine": table.in_quarantine,
                "in_conflict": len(table.refused),
                "left_behind": dict(table.left_behind),
                "ids_kept": table.keeps_ids,
            }
            for name, table in plan.tables.items()
        },
        "conflicts": [
            {
                "table": row.table,
                "id": row.legacy_id,
                "reasons": [{"code": reason.code.value, "text": reason.text} for reason in row.reasons],
            }
            for table in plan.tables.values()
            for row in table.refused
        ],
        "blockers": plan.blockers,
        "notices": plan.notices,
        "employees_without_tenant": plan.orphans,
        "kept": plan.kept,
        "kept_already": plan.kept_already,
        "changed_by_use": [
            _difference_json(difference) for table in plan.tables.values() for difference in table.explained
        ],
    }


def _verification(found: Verification, staged: Staged) -> dict[str, Any]:
    users = staged.users()
    return {
        "is_right": found.is_right,
        "was_imported": found.was_imported,
        "tables": {
            name: {**dataclasses.asdict(table), "verdict": _verdict(name, found)}
            for name, table in found.tables.items()
        },
        "differences": [_difference_json(difference) for difference in found.differences],
        "kept": found.kept,
        "kept_missing": found.kept_missing,
        "months": [
            {
                "user_id": user,
                "username": users[user].username if user in users else None,
                "month": f"{year:04}-{month:02}",
                "minutes_before": check.before,
                "minutes_now": check.now,
                "explained_by": {
                    "seconds": check.seconds,
                    "time_zone": check.zone,
                    "quarantined": check.quarantined,
                    "since_the_import": check.since,
                },
                "unexplained": check.unexplained,
            }
            for (user, (year, month)), check in sorted(found.months.items())
        ],
    }


def _account(user: UserRow) -> dict[str, Any]:
    return {"id": user.id, "username": user.username, "email": user.email}


def _difference_json(difference: Difference) -> dict[str, Any]:
    return difference._asdict()


def _difference(difference: Difference) -> str:
    what = f".{difference.column}" if difference.column else ""
    return (
        f"{difference.table} {difference.legacy_id}{what}: {difference.file} in the file,"
        f" {difference.database} here"
    )


def _id(row: RefusedRow) -> str:
    return "without id" if row.legacy_id is None else str(row.legacy_id)


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"  … and {len(lines) - SHOWN:,} more: --report FILE.json has them all"


def _columns(heads: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[n]) for row in (heads, *body)) for n in range(len(heads))]
    for row in (heads, *body):
        first, *others = (
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()
