from pathlib import Path

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

SQL = Path(__file__).with_name("sql")
GIVE_UP_SOON = "SET LOCAL lock_timeout = '5s'"
STATES = ["active", "suspended", "closed"]


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """A tenant can be closed: docs/adr/0012-platform-site.md. 0005 looks at the rows that are there.

    Code that knows nothing of the state takes a closed tenant for one that is not active, as it should.
    Backwards: reopen or suspend what is closed first.
    """

    dependencies = [("tenants", "0003_sessions_end")]

    operations = [
        migrations.RunSQL(GIVE_UP_SOON, reverse_sql=migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="tenant",
            name="status",
            field=models.CharField(
                choices=[(state, state) for state in STATES],
                db_default="active",
                default="active",
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.RemoveConstraint(model_name="tenant", name="tenants_status_check"),
        AddConstraintNotValid(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", STATES)), name="tenants_status_check"
            ),
        ),
        migrations.RunSQL(
            sql("closing.sql"), reverse_sql=sql("forget_closing.sql") + sql("sessions_end.sql")
        ),
        migrations.RunSQL(migrations.RunSQL.noop, reverse_sql=GIVE_UP_SOON),
    ]
