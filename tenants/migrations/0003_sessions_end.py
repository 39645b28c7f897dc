from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).with_name("sql") / "sessions_end.sql"


class Migration(migrations.Migration):
    """A tenant's suspension ends its people's sessions, for good: docs/adr/0010-accounts.md."""

    dependencies = [("tenants", "0002_row_level_security")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql=migrations.RunSQL.noop),
        migrations.AddField(
            model_name="tenant",
            name="session_epoch",
            field=models.IntegerField(db_default=0, default=0, editable=False, verbose_name="session epoch"),
        ),
        migrations.RunSQL(
            SQL.read_text(encoding="utf-8"), reverse_sql="DROP FUNCTION end_sessions_of_tenant() CASCADE"
        ),
    ]
