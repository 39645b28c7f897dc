import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.models
import timerecord.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "tenant_uid",
                    models.CharField(
                        default=tenants.models.new_tenant_uid, max_length=64, verbose_name="uid"
                    ),
                ),
                ("name", models.CharField(blank=True, null=True, verbose_name="name")),
                ("contact_email", models.CharField(blank=True, null=True, verbose_name="contact e-mail")),
                (
                    "time_zone",
                    models.CharField(
                        db_default="Asia/Tokyo",
                        default="Asia/Tokyo",
                        max_length=64,
                        validators=[tenants.models.validate_time_zone],
                        verbose_name="time zone",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "active"), ("suspended", "suspended")],
                        db_default="active",
                        default="active",
                        max_length=16,
                        verbose_name="status",
                    ),
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
            ],
            options={
                "verbose_name": "tenant",
                "verbose_name_plural": "tenants",
                "db_table": "tenants",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant_uid",), name="tenants_tenant_uid_key"),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["active", "suspended"])),
                        name="tenants_status_check",
                    ),
                ],
            },
        ),
    ]
