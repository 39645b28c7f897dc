from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from timerecord.core.foreign_keys import foreign_key

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Sessions in a table of our own: docs/adr/0003-session-store.md.

    Everybody signs in once more, for `django_session` is neither read nor copied. It stays until no server of
    a version that reads it can be running.
    """

    dependencies = [("accounts", "0006_errands")]

    operations = [
        # The foreign keys lock users and tenants for a moment.
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql="SET LOCAL lock_timeout = '5s'"),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=64, primary_key=True, serialize=False, verbose_name="digest of the key"
                    ),
                ),
                ("data", models.TextField(verbose_name="signed data")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("seen_at", models.DateTimeField(verbose_name="last seen at")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "db_table": "sessions",
                "indexes": [models.Index(fields=["expires_at"], name="sessions_expires_at_idx")],
            },
        ),
        foreign_key("sessions", "user_id", "users", "SET NULL"),
        foreign_key("sessions", "tenant_id", "tenants", "SET NULL"),
        migrations.RunSQL(sql("sessions.sql"), reverse_sql=sql("forget_sessions.sql")),
    ]
