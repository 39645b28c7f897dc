from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql") / "row_level_security.sql"


class Migration(migrations.Migration):
    """Who sees and changes which tenant: docs/adr/0008-tenant-isolation.md."""

    dependencies = [("tenants", "0001_initial")]

    operations = [
        migrations.RunSQL(
            SQL.read_text(encoding="utf-8"),
            reverse_sql="ALTER TABLE tenants DISABLE ROW LEVEL SECURITY",
        )
    ]
