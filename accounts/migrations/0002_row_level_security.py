from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql") / "row_level_security.sql"
TABLES = ("users", "role_codes", "password_resets")


class Migration(migrations.Migration):
    """Who sees and changes whose account: docs/adr/0008-tenant-isolation.md."""

    dependencies = [("accounts", "0001_initial"), ("tenants", "0002_row_level_security")]

    operations = [
        migrations.RunSQL(
            SQL.read_text(encoding="utf-8"),
            reverse_sql=";".join(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES)
            + "; DROP TRIGGER users_own_rights ON users; DROP FUNCTION refuse_own_rights()",
        )
    ]
