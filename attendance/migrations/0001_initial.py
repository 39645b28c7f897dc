import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import timerecord.core.clock
from timerecord.core.foreign_keys import foreign_key


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkSession",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("start_time", models.DateTimeField(verbose_name="start")),
                ("end_time", models.DateTimeField(blank=True, null=True, verbose_name="end")),
                (
                    "end_unknown",
                    models.BooleanField(db_default=False, default=False, verbose_name="end unknown"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=timerecord.core.clock.now,
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="work_sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="employee",
                    ),
                ),
            ],
            options={
                "verbose_name": "work session",
                "verbose_name_plural": "work sessions",
                "db_table": "work_sessions",
                "indexes": [models.Index(fields=["user", "start_time"], name="work_sessions_user_start_idx")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("end_time__isnull", True), ("end_unknown", False)),
                        fields=("user",),
                        name="work_sessions_one_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("end_time__isnull", True),
                            ("end_time__gte", models.F("start_time")),
                            _connector="OR",
                        ),
                        name="work_sessions_order_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("end_unknown", False), ("end_time__isnull", True), _connector="OR"
                        ),
                        name="work_sessions_end_unknown_check",
                    ),
                ],
            },
        ),
        foreign_key("work_sessions", "user_id", "users", "RESTRICT"),
    ]
