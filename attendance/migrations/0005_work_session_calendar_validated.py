from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Looks through the rows that were there already: one pass, during which people clock in and out.

    A transaction of its own, so that the lock of 0004 is gone. Where it fails, mend the row that it
    speaks of and migrate again; new rows are refused already.
    """

    dependencies = [("attendance", "0004_work_session_calendar")]

    operations = [ValidateConstraint(model_name="worksession", name="work_sessions_calendar_check")]
