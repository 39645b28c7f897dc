import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import timerecord.core.clock
from timerecord.core.foreign_keys import foreign_key


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("username", models.CharField(verbose_name="user name")),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail address")),
                (
                    "password",
                    models.CharField(db_column="password_hash", max_length=255, verbose_name="password"),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("platform_admin", "platform admin"),
                            ("tenant_admin", "tenant admin"),
                            ("employee", "employee"),
                        ],
                        db_default="employee",
                        default="employee",
                        max_length=32,
                        verbose_name="role",
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
                    "must_change_password",
                    models.BooleanField(
                        db_default=False, default=False, verbose_name="must change the password"
                    ),
                ),
                (
                    "failed_attempts",
                    models.PositiveIntegerField(db_default=0, default=0, verbose_name="failed attempts"),
                ),
                ("locked_until", models.DateTimeField(blank=True, null=True, verbose_name="locked until")),
                ("first_name", models.CharField(blank=True, null=True, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, null=True, verbose_name="last name")),
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
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="users",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "db_table": "users",
            },
        ),
        migrations.CreateModel(
            name="PasswordReset",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("token", models.CharField(max_length=64, verbose_name="SHA-256 of the token")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("used_at", models.DateTimeField(blank=True, null=True, verbose_name="used at")),
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="password_resets",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "password reset",
                "verbose_name_plural": "password resets",
                "db_table": "password_resets",
            },
        ),
        migrations.CreateModel(
            name="RoleCode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=16, verbose_name="code")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
                ("max_uses", models.PositiveIntegerField(blank=True, null=True, verbose_name="uses allowed")),
                ("usage_count", models.PositiveIntegerField(db_default=0, default=0, verbose_name="uses")),
                (
                    "is_disabled",
                    models.BooleanField(db_default=False, default=False, verbose_name="disabled"),
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
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        db_column="created_by",
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="created by",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="role_codes",
                        to="tenants.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "role code",
                "verbose_name_plural": "role codes",
                "db_table": "role_codes",
            },
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(fields=["tenant", "role"], name="users_tenant_id_role_idx"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("email",), name="users_email_key"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email", django.db.models.functions.text.Lower("email"))),
                name="users_email_lower_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["platform_admin", "tenant_admin", "employee"])),
                name="users_role_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["active", "suspended"])), name="users_status_check"
            ),
        ),
        migrations.AddConstraint(
            model_name="passwordreset",
            constraint=models.UniqueConstraint(fields=("token",), name="password_resets_token_key"),
        ),
        migrations.AddConstraint(
            model_name="rolecode",
            constraint=models.UniqueConstraint(fields=("code",), name="role_codes_code_key"),
        ),
        migrations.AddConstraint(
            model_name="rolecode",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-HJ-NP-Z2-9]{16}$")), name="role_codes_code_check"
            ),
        ),
        foreign_key("users", "tenant_id", "tenants", "SET NULL"),
        foreign_key("role_codes", "tenant_id", "tenants", "CASCADE"),
        foreign_key("role_codes", "created_by", "users", "SET NULL"),
        foreign_key("password_resets", "user_id", "users", "CASCADE"),
    ]
