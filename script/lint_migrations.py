"""Refuse a new migration that could hold up, or break, the version that still serves the pages.

    lint_migrations.py

DATABASE_OWNER_URL names a database for the SQL to be written for; nothing is changed there. The rules are in
docs/migrations.md. Exit status 1 if any is broken.
"""

import os
import sys
from pathlib import Path

import django
from django_migration_linter import MigrationLinter

ROOT = Path(__file__).resolve().parent.parent

# They had run before anybody looked at them this way, and are not changed any more.
LANDED = {
    "accounts": (
        "0001_initial",
        "0002_row_level_security",
        "0003_audit",
        "0004_sign_in",
        "0005_tokens",
        "0006_errands",
        "0007_sessions",
    ),
    "attendance": (
        "0001_initial",
        "0002_work_session_guarantees",
        "0003_legacy_import",
        "0004_work_session_calendar",
        "0005_work_session_calendar_validated",
        "0006_row_level_security",
        "0007_history",
        "0008_history_beginning",
    ),
    "tenants": ("0001_initial", "0002_row_level_security", "0003_sessions_end"),
}


# What the linter warns of and is refused here. Its other warnings are about going back: that is not done.
REFUSED = (
    "CREATE_INDEX",
    "CREATE_INDEX_EXCLUSIVE",
    "DROP_INDEX",
    "REINDEX",
    "RUNPYTHON_MODEL_IMPORT",
)
# By app and name: which of the linter's rules a migration may break, and why that holds nobody up.
ALLOWED: dict[tuple[str, str], dict[str, str]] = {}


def main() -> int:
    """Look at each migration that is not Django's own and has not landed; return the exit status."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
    django.setup()
    linter = MigrationLinter(
        str(ROOT),
        database="owner",
        no_cache=True,
        warnings_as_errors_tests=REFUSED,
        quiet=["ok", "ignore", "warning"],
    )
    for (app, name), migration in sorted(linter.migration_loader.disk_migrations.items()):
        if name not in LANDED.get(app, ()) and not migration.__module__.startswith("django."):
            linter.exclude_migration_tests = list(ALLOWED.get((app, name), {}))
            linter.lint_migration(migration)
    print(
        f"{linter.nb_total} new migrations, {linter.nb_erroneous} of them dangerous: see docs/migrations.md"
    )
    return 1 if linter.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
