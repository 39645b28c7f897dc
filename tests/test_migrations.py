"""New migrations are looked at before they land: what would hold up the pages is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SECONDS = 120  # nothing here takes that long
HEAD = """
from django.db import migrations, models
from django.contrib.postgres.operations import AddIndexConcurrently

class Migration(migrations.Migration):
    dependencies = [("work", "0001_first")]
    atomic = {atomic}
    operations = [{operation}]
"""
FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Thing", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=10)),
            ("old", models.TextField(null=True)),
        ], options={"indexes": [models.Index(fields=["name"], name="by_name")]}),
    ]
"""
DANGEROUS = {
    'migrations.RemoveField("thing", "old")': "DROPPING columns",
    'migrations.RenameField("thing", "old", "new")': "RENAMING columns",
    'migrations.DeleteModel("Thing")': "DROPPING table",
    'migrations.AlterModelTable("thing", "things")': "RENAMING tables",
    'migrations.AddField("thing", "more", models.IntegerField(default=1))': "NOT NULL constraint",
    'migrations.AlterField("thing", "name", models.IntegerField())': "ALTERING columns",
    'migrations.AddConstraint("thing", models.UniqueConstraint(fields=["old"], name="u"))': "unique",
    'migrations.AddIndex("thing", models.Index(fields=["old"], name="by_old"))': "CREATE INDEX locks table",
    'migrations.RunSQL("ALTER TABLE work_thing DROP COLUMN old")': "DROPPING columns",
}
SAFE = {
    'migrations.AddField("thing", "more", models.IntegerField(null=True))': True,
    'migrations.AddField("thing", "more", models.IntegerField(default=1, db_default=1))': True,
    'AddIndexConcurrently("thing", models.Index(fields=["old"], name="by_old"))': False,
}


def lint(folder: Path, operation: str, *, atomic: bool = True) -> tuple[int, str]:
    """Look at an app with a first migration and this one; return exit status and what was said."""
    migrations = folder / "work" / "migrations"
    migrations.mkdir(parents=True)
    (folder / "work" / "__init__.py").touch()
    (migrations / "__init__.py").touch()
    (migrations / "0001_first.py").write_text(FIRST)
    (migrations / "0002_second.py").write_text(HEAD.format(operation=operation, atomic=atomic))
    (folder / "with_work.py").write_text(
        'from timerecord.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, "work"]\n'
    )
    done = subprocess.run(
        [sys.executable, "script/lint_migrations.py"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "with_work", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("operation", DANGEROUS)
def test_what_would_hold_up_the_pages_is_refused(tmp_path: Path, operation: str) -> None:
    status, said = lint(tmp_path, operation)
    assert status == 1, said
    assert "(work, 0002_second)... ERR" in said
    assert DANGEROUS[operation] in said


@pytest.mark.parametrize("operation", SAFE)
def test_what_would_not_is_let_pass(tmp_path: Path, operation: str) -> None:
    status, said = lint(tmp_path, operation, atomic=SAFE[operation])
    assert status == 0, said
    assert " new migrations, 0 of them dangerous" in said
