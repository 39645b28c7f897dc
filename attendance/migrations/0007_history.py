from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from timerecord.core.foreign_keys import foreign_key

SQL = Path(__file__).with_name("sql")


def sql(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Each change to a work session leaves a row, chained to the one before: docs/adr/0009-history.md.

    Its locks last an instant, whatever the number of work sessions; if it does not get them within 5 s, it
    gives up and can be run again. What is there already is recorded by 0008.
    """

    dependencies = [
        ("attendance", "0006_row_level_security"),
        ("accounts", "0003_audit"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkSessionHistory",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                # Second, as history.sql counts on.
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("seq", models.IntegerField()),
                ("work_session_id", models.BigIntegerField(blank=True, null=True)),
                (
                    "operation",
                    models.CharField(
                        choices=[
                            ("insert", "Insert"),
                            ("update", "Update"),
                            ("delete", "Delete"),
                            ("import", "Import"),
                        ]
                    ),
                ),
                ("at", models.DateTimeField()),
                ("actor_id", models.BigIntegerField(blank=True, null=True)),
                ("actor_name", models.CharField(blank=True, null=True)),
                ("actor_role", models.CharField(blank=True, null=True)),
                ("door", models.CharField()),
                ("address", models.CharField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, null=True)),
                ("before", models.JSONField(blank=True, null=True)),
                ("after", models.JSONField(blank=True, null=True)),
                ("previous", models.BinaryField()),
                ("digest", models.BinaryField()),
            ],
            options={
                "db_table": "work_session_history",
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_session_id__isnull", False)),
                        fields=["work_session_id"],
                        name="work_session_history_session",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "seq"), name="work_session_history_chain_key"),
                    models.CheckConstraint(
                        condition=models.Q(("operation__in", ["insert", "update", "delete", "import"])),
                        name="work_session_history_operation_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("door__in", ["clock", "admin", "command", "import", "migration"])
                        ),
                        name="work_session_history_door_check",
                    ),
                ],
            },
        ),
        foreign_key("work_session_history", "user_id", "users", "RESTRICT"),
        migrations.RunSQL(sql("history.sql"), reverse_sql=sql("forget_history.sql")),
    ]
