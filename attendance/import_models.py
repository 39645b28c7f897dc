"""What imports of old databases leave beside the rows: where each came from, and what was refused."""

from django.db import models
from django.db.models.functions import Now

from timerecord.core import clock


class ImportSource(models.Model):
    """An old database from which rows came: docs/adr/0004-import-identity-and-quarantine.md."""

    # SHA-256 of what the file said, in hexadecimal digits. Not of its bytes: a checkpoint changes those.
    digest = models.CharField(max_length=64)
    # The first state of the same old database that was imported, if this is a later one.
    continues = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_column="continues",
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    file_name = models.CharField()
    generation = models.PositiveSmallIntegerField()
    imported_at = models.DateTimeField(default=clock.now, db_default=Now(), editable=False)
    # Rows by table, as `attendance.legacy.report` writes them.
    row_counts = models.JSONField(default=dict)
    # The options that decided what a row became, so that a verification can repeat them.
    options = models.JSONField(default=dict)

    class Meta:
        db_table = "import_sources"
        constraints = [models.UniqueConstraint(fields=["digest"], name="import_sources_digest_key")]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.digest[:12]})"


class ImportedRow(models.Model):
    """Which row of the old database became which row here. Written also where the id stayed the same."""

    pk = models.CompositePrimaryKey("source_id", "table_name", "legacy_id")
    source = models.ForeignKey(
        ImportSource, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    table_name = models.CharField(max_length=63)
    legacy_id = models.BigIntegerField()
    row_id = models.BigIntegerField()
    # SHA-256 of the row's canonical form as it came.
    digest = models.BinaryField()

    class Meta:
        db_table = "imported_rows"

    def __str__(self) -> str:
        return f"{self.table_name} {self.legacy_id} -> {self.row_id}"


class QuarantinedRow(models.Model):
    """A row of an old database that could not be written as it is, or has no place, kept whole.

    Not a reset token: of it, as everywhere, only the SHA-256 is kept. Values that JSON cannot hold are
    objects: `{"$base64": …}` for a blob, `{"$text_base64": …}` for text that PostgreSQL cannot store,
    `{"$real": …}` for an infinite number.
    """

    source = models.ForeignKey(
        ImportSource, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    # The tenant here whose row it is, where that is known. No foreign key: it outlives the tenant.
    tenant = models.BigIntegerField(null=True, blank=True)
    table_name = models.CharField(max_length=255)
    legacy_id = models.BigIntegerField(null=True, blank=True)
    row = models.JSONField()
    reason_code = models.CharField(max_length=32)
    reason = models.TextField()
    # SHA-256 of the row as it is in the file, by which a second run recognises it.
    digest = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now, db_default=Now(), editable=False)
    # When somebody, or a later import, dealt with it.
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "import_quarantine"
        indexes = [models.Index(fields=["tenant"], name="import_quarantine_tenant_idx")]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "table_name", "reason_code", "digest"], name="import_quarantine_row_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_name} {self.legacy_id}: {self.reason_code}"
