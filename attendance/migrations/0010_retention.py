from pathlib import Path

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

SQL = Path(__file__).with_name("sql")
# In the order in which a punch takes them: the other way round there would be deadlocks.
GIVE_UP_SOON = """
    SET LOCAL lock_timeout = '5s';
    LOCK TABLE work_sessions, work_session_history IN ACCESS EXCLUSIVE MODE;
"""
OPERATIONS = ["insert", "update", "delete", "import", "purge"]


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """The only way by which history goes, and the row that it leaves: docs/adr/0015-retention.md.

    Its locks last an instant: the wider check is not valid before 0011 has looked at the rows.
    """

    dependencies = [
        ("attendance", "0009_platform"),
        ("accounts", "0009_retention"),
        ("tenants", "0006_retention"),
    ]

    operations = [
        migrations.RunSQL(GIVE_UP_SOON, reverse_sql=migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="worksessionhistory",
            name="operation",
            field=models.CharField(choices=[(name, name.capitalize()) for name in OPERATIONS]),
        ),
        migrations.RemoveConstraint(
            model_name="worksessionhistory", name="work_session_history_operation_check"
        ),
        AddConstraintNotValid(
            model_name="worksessionhistory",
            constraint=models.CheckConstraint(
                condition=models.Q(operation__in=OPERATIONS), name="work_session_history_operation_check"
            ),
        ),
        migrations.RunSQL(sql("retention.sql"), reverse_sql=sql("forget_retention.sql")),
        migrations.RunSQL(migrations.RunSQL.noop, reverse_sql=GIVE_UP_SOON),
    ]
