from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Looks through the tenants that were there already, in a transaction of its own."""

    dependencies = [("tenants", "0004_closing")]

    operations = [ValidateConstraint(model_name="tenant", name="tenants_status_check")]
