from pathlib import Path

from django.db import migrations, models
from django.db.models.functions import Now

import timerecord.core.clock

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Errands, what browser a change came from, sessions that end with a right: docs/adr/0010-accounts.md.

    The new column is nullable: no row is rewritten, and code that knows nothing of it goes on.
    """

    dependencies = [("accounts", "0005_tokens"), ("tenants", "0003_sessions_end")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql=migrations.RunSQL.noop),
        migrations.AddField(
            model_name="auditevent",
            name="device",
            field=models.CharField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Errand",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=16)),
                ("details", models.JSONField()),
                ("tries", models.IntegerField(db_default=0, default=0)),
                (
                    "due_at",
                    models.DateTimeField(db_default=Now(), default=timerecord.core.clock.now),
                ),
            ],
            options={
                "db_table": "errands",
                "indexes": [models.Index(fields=["due_at"], name="errands_due_at_idx")],
            },
        ),
        migrations.RunSQL(sql("errands.sql"), reverse_sql=sql("forget_errands.sql")),
    ]
