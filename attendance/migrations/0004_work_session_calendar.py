import datetime as dt

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

# The lock lasts an instant, whatever the table's size. But it queues behind a transaction that is writing,
# and everybody queues behind it: so it gives up soon, and the migration can be run again.
GIVE_UP_SOON = "SET LOCAL lock_timeout = '5s'"

EARLIEST = dt.datetime(1, 1, 4, tzinfo=dt.UTC)
AFTER_THE_LATEST = dt.datetime(9999, 12, 29, tzinfo=dt.UTC)


class Migration(migrations.Migration):
    """Refuses times at infinity, and others that Python cannot hold, in new rows. 0005 looks at the old."""

    dependencies = [("attendance", "0003_legacy_import")]

    operations = [
        migrations.RunSQL(GIVE_UP_SOON, reverse_sql=migrations.RunSQL.noop),
        AddConstraintNotValid(
            model_name="worksession",
            constraint=models.CheckConstraint(
                condition=Q(
                    Q(end_time__isnull=True) | Q(end_time__lt=AFTER_THE_LATEST),
                    start_time__gte=EARLIEST,
                    start_time__lt=AFTER_THE_LATEST,
                    created_at__gte=EARLIEST,
                    created_at__lt=AFTER_THE_LATEST,
                ),
                name="work_sessions_calendar_check",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, reverse_sql=GIVE_UP_SOON),
    ]
