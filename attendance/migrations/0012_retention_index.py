from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Finds what imports and purges left, without keeping anybody waiting.

    Should it be broken off, drop the invalid index work_session_history_of_many and migrate again.
    """

    atomic = False

    dependencies = [("attendance", "0011_retention_validated")]

    operations = [
        AddIndexConcurrently(
            model_name="worksessionhistory",
            index=models.Index(
                fields=["user", "seq"],
                condition=models.Q(operation__in=["import", "purge"]),
                name="work_session_history_of_many",
            ),
        )
    ]
