from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """The only way by which events leave the audit trail: docs/adr/0015-retention.md."""

    dependencies = [("accounts", "0008_platform"), ("tenants", "0006_retention")]

    operations = [migrations.RunSQL(sql("retention.sql"), reverse_sql=sql("forget_retention.sql"))]
