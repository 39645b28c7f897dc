from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """An audit trail of tenants, users, role codes and sign-ins: docs/adr/0009-history.md."""

    dependencies = [("accounts", "0002_row_level_security")]

    operations = [
        migrations.CreateModel(
            name="AuditEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("tenant_id", models.BigIntegerField(blank=True, null=True)),
                ("kind", models.CharField()),
                ("subject_id", models.BigIntegerField(blank=True, null=True)),
                ("actor_id", models.BigIntegerField(blank=True, null=True)),
                ("actor_name", models.CharField(blank=True, null=True)),
                ("actor_role", models.CharField(blank=True, null=True)),
                ("door", models.CharField()),
                ("address", models.CharField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, null=True)),
                ("before", models.JSONField(blank=True, null=True)),
                ("after", models.JSONField(blank=True, null=True)),
            ],
            options={
                "db_table": "audit_events",
                "indexes": [
                    models.Index(fields=["tenant_id", "at"], name="audit_events_tenant_id_at_idx"),
                    models.Index(fields=["subject_id", "kind"], name="audit_events_subject_kind_idx"),
                ],
            },
        ),
        migrations.RunSQL(sql("audit.sql"), reverse_sql=sql("forget_audit.sql")),
    ]
