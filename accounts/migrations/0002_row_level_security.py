from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Who sees and changes whose account: docs/adr/0008-tenant-isolation.md."""

    dependencies = [("accounts", "0001_initial"), ("tenants", "0002_row_level_security")]

    operations = [
        migrations.RunSQL(sql("row_level_security.sql"), reverse_sql=sql("forget_row_level_security.sql"))
    ]
