from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

from timerecord.core.foreign_keys import foreign_key

SQL = Path(__file__).with_name("sql")
# For a moment, in the order in which pages take them: the other way round there would be deadlocks.
GIVE_UP_SOON = """
    SET LOCAL lock_timeout = '5s';
    LOCK TABLE users, tenants, audit_events IN ACCESS EXCLUSIVE MODE;
"""


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """What platform admins see, and accesses that are limited in time: docs/adr/0012-platform-site.md."""

    dependencies = [("accounts", "0007_sessions"), ("tenants", "0005_closing_validated")]

    operations = [
        migrations.RunSQL(GIVE_UP_SOON, reverse_sql=migrations.RunSQL.noop),
        migrations.CreateModel(
            name="SupportAccess",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("user_name", models.CharField(blank=True, verbose_name="name")),
                ("reason", models.CharField(verbose_name="reason")),
                ("minutes", models.PositiveSmallIntegerField(verbose_name="minutes")),
                (
                    "started_at",
                    models.DateTimeField(db_default=Now(), editable=False, verbose_name="started at"),
                ),
                ("ends_at", models.DateTimeField(db_default=Now(), editable=False, verbose_name="ends at")),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended at")),
                ("ended_by", models.BigIntegerField(blank=True, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="platform admin",
                    ),
                ),
            ],
            options={
                "verbose_name": "support access",
                "verbose_name_plural": "support accesses",
                "db_table": "support_accesses",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("minutes__gte", 1), ("minutes__lte", 60)),
                        name="support_accesses_hour_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="support_accesses_reason_check",
                    ),
                ],
            },
        ),
        foreign_key("support_accesses", "tenant_id", "tenants", "RESTRICT"),
        foreign_key("support_accesses", "user_id", "users", "RESTRICT"),
        migrations.RunSQL(sql("platform.sql"), reverse_sql=sql("forget_platform.sql")),
        migrations.RunSQL(migrations.RunSQL.noop, reverse_sql=GIVE_UP_SOON),
    ]
