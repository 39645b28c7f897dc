from django.db import migrations, models
from django.db.models import Q

NAME = "work_session_history_deletions"
INDEX = models.Index(fields=["user"], condition=Q(operation="delete"), name=NAME)


class Migration(migrations.Migration):
    """An index that finds what was deleted of somebody's: of a long history a few rows.

    Concurrently, so that everybody clocks in and out meanwhile. If it is broken off, it leaves an index that
    is of no use, and can be run again.
    """

    atomic = False

    dependencies = [("attendance", "0012_retention_index")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}", migrations.RunSQL.noop),
                migrations.RunSQL(
                    f"CREATE INDEX CONCURRENTLY {NAME} ON work_session_history (user_id)"
                    " WHERE operation = 'delete'",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                ),
            ],
            state_operations=[migrations.AddIndex("worksessionhistory", INDEX)],
        )
    ]
