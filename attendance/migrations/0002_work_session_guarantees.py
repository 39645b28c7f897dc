from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")

# CREATE TRIGGER holds off writers, not readers, for an instant, whatever the table's size. But it queues
# behind a transaction that is writing, and everybody queues behind it: so it gives up soon, and the
# migration can be run again. SET LOCAL ends with the statements that are sent together.
GIVE_UP_SOON = "SET LOCAL lock_timeout = '5s';\n"


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """No two work sessions of one user overlap: docs/adr/0002-overlap-guarantee.md."""

    # Two transactions: the trigger must be at work, and its lock gone, before rows that were there already
    # are looked through, which takes a minute for a hundred million and must keep nobody waiting. Whatever is
    # written meanwhile passes the trigger. Each part can be run again.
    atomic = False

    dependencies = [("attendance", "0001_initial")]

    operations = [
        migrations.RunSQL(
            GIVE_UP_SOON + sql("refuse_overlap.sql"),
            reverse_sql=GIVE_UP_SOON + sql("refuse_overlap_reverse.sql"),
        ),
        migrations.RunSQL(sql("find_overlap.sql"), reverse_sql=migrations.RunSQL.noop),
    ]
