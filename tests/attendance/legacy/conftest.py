"""Running the command as an operator does."""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from tests.conftest import connects_as

TABLES = (
    "tenants",
    "users",
    "role_codes",
    "password_resets",
    "work_sessions",
    "import_sources",
    "imported_rows",
    "import_quarantine",
)


@dataclasses.dataclass(frozen=True)
class Done:
    """What one run of the command left."""

    status: int
    said: str
    report: dict[str, Any]

    @property
    def last_line(self) -> str:
        return self.said.rstrip().splitlines()[-1]


Import = Callable[..., Done]

as_import = connects_as("import", "package")


@pytest.fixture
def import_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Import:
    """Run the command with options and return how it ended; always with a report."""

    def run(path: Path, *options: str) -> Done:
        report = tmp_path_factory.mktemp("report") / "report.json"
        said = io.StringIO()
        status: int = 0
        try:
            call_command(
                "import_sqlite", str(path), *options, f"--report={report}", stdout=said, no_color=True
            )
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, said.getvalue(), json.loads(report.read_text(encoding="utf-8")))

    return run


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table that an import can touch, and how far the sequences are."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = cursor.fetchall()
        cursor.execute(
            "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'timerecord' ORDER BY 1"
        )
        found["sequences"] = cursor.fetchall()
    return found


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what the database answers; nothing for a statement that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []
