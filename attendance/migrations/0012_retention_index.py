from django.db import migrations, models

from timerecord.core.indexes import index_concurrently


class Migration(migrations.Migration):
    """Finds what imports and purges left, and keeps nobody waiting. Broken off, it can be run again."""

    atomic = False

    dependencies = [("attendance", "0011_retention_validated")]

    operations = [
        index_concurrently(
            "worksessionhistory",
            models.Index(
                fields=["user", "seq"],
                condition=models.Q(operation__in=["import", "purge"]),
                name="work_session_history_of_many",
            ),
            on="work_session_history (user_id, seq) WHERE operation IN ('import', 'purge')",
        )
    ]
