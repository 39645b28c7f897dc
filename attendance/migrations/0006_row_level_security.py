from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Who sees and changes whose work sessions: docs/adr/0008-tenant-isolation.md.

    A database that was there before the schema of its own had the function of the trigger elsewhere: it is
    made anew where the tables are now.
    """

    dependencies = [
        ("attendance", "0005_work_session_calendar_validated"),
        ("accounts", "0002_row_level_security"),
    ]

    operations = [
        migrations.RunSQL(
            "SET LOCAL lock_timeout = '5s';\n" + sql("refuse_overlap.sql"),
            reverse_sql=migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            sql("row_level_security.sql"),
            reverse_sql=sql("forget_row_level_security.sql"),
        ),
    ]
