from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BEGINNING = Path(__file__).with_name("sql") / "history_beginning.sql"


def begin(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    connection = schema_editor.connection
    sql = BEGINNING.read_text(encoding="utf-8")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM users ORDER BY id")
        for (user,) in cursor.fetchall():
            with transaction.atomic(using=connection.alias):
                # The lock that whoever writes a work session of theirs takes.
                cursor.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [user])
                cursor.execute(sql, {"user": user})


class Migration(migrations.Migration):
    """What was there before the history is its beginning: one row an employee, as for an import.

    A transaction each, so that everybody else clocks in and out meanwhile: docs/adr/0009-history.md. If it
    is broken off, it can be run again and goes on. Whose beginning is recorded is passed over.
    """

    atomic = False

    dependencies = [("attendance", "0007_history")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
