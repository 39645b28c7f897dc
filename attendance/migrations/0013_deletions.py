from django.db import migrations, models

from timerecord.core.indexes import index_concurrently


class Migration(migrations.Migration):
    """An index that finds what was deleted of somebody's: of a long history a few rows.

    Concurrently, so that everybody clocks in and out meanwhile. Broken off, it can be run again.
    """

    atomic = False

    dependencies = [("attendance", "0012_retention_index")]

    operations = [
        index_concurrently(
            "worksessionhistory",
            models.Index(
                fields=["user"],
                condition=models.Q(operation="delete"),
                name="work_session_history_deletions",
            ),
            on="work_session_history (user_id) WHERE operation = 'delete'",
        )
    ]
