import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import timerecord.core.clock
from timerecord.core.foreign_keys import foreign_key


class Migration(migrations.Migration):
    dependencies = [
        ("attendance", "0002_work_session_guarantees"),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportSource",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                (
                    "continues",
                    models.ForeignKey(
                        blank=True,
                        db_column="continues",
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="attendance.importsource",
                    ),
                ),
                ("file_name", models.CharField()),
                ("generation", models.PositiveSmallIntegerField()),
                (
                    "imported_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=timerecord.core.clock.now,
                        editable=False,
                    ),
                ),
                ("row_counts", models.JSONField(default=dict)),
                ("options", models.JSONField(default=dict)),
            ],
            options={
                "db_table": "import_sources",
                "constraints": [
                    models.UniqueConstraint(fields=("digest",), name="import_sources_digest_key")
                ],
            },
        ),
        migrations.CreateModel(
            name="ImportedRow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "table_name",
                        "legacy_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="attendance.importsource",
                    ),
                ),
                ("table_name", models.CharField(max_length=63)),
                ("legacy_id", models.BigIntegerField()),
                ("row_id", models.BigIntegerField()),
                ("digest", models.BinaryField()),
            ],
            options={"db_table": "imported_rows"},
        ),
        migrations.CreateModel(
            name="QuarantinedRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="attendance.importsource",
                    ),
                ),
                ("tenant", models.BigIntegerField(blank=True, null=True)),
                ("table_name", models.CharField(max_length=255)),
                ("legacy_id", models.BigIntegerField(blank=True, null=True)),
                ("row", models.JSONField()),
                ("reason_code", models.CharField(max_length=32)),
                ("reason", models.TextField()),
                ("digest", models.BinaryField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=timerecord.core.clock.now,
                        editable=False,
                    ),
                ),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "import_quarantine",
                "indexes": [models.Index(fields=["tenant"], name="import_quarantine_tenant_idx")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "table_name", "reason_code", "digest"),
                        name="import_quarantine_row_key",
                    )
                ],
            },
        ),
        # What an import left is evidence: a source stays while anything of it is there.
        foreign_key("import_sources", "continues", "import_sources", "RESTRICT"),
        foreign_key("imported_rows", "source_id", "import_sources", "RESTRICT"),
        foreign_key("import_quarantine", "source_id", "import_sources", "RESTRICT"),
    ]
