from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """What platform admins see of a tenant, and that a closed one records nothing more.

    docs/adr/0012-platform-site.md.
    """

    dependencies = [("attendance", "0008_history_beginning"), ("accounts", "0008_platform")]

    operations = [migrations.RunSQL(sql("platform.sql"), reverse_sql=sql("forget_platform.sql"))]
