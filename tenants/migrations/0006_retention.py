from pathlib import Path

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """How long a tenant's records are kept: docs/adr/0015-retention.md.

    The new column has a constant default in the database: no row is rewritten, and code that knows nothing
    of it goes on. 0007 looks at the rows that are there.
    """

    dependencies = [("tenants", "0005_closing_validated")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql=migrations.RunSQL.noop),
        migrations.AddField(
            model_name="tenant",
            name="retention_months",
            field=models.IntegerField(db_default=60, default=60, verbose_name="months of retention"),
        ),
        AddConstraintNotValid(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(retention_months__gte=36, retention_months__lte=1200),
                name="tenants_retention_months_check",
            ),
        ),
        migrations.RunSQL(sql("retention.sql"), reverse_sql=sql("forget_retention.sql")),
    ]
