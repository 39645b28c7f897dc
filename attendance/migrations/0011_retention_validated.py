from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Looks through the history that was there already: one pass, during which people clock in and out."""

    dependencies = [("attendance", "0010_retention")]

    operations = [
        ValidateConstraint(model_name="worksessionhistory", name="work_session_history_operation_check")
    ]
