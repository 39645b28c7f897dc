from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Looks through the tenants that were there already, in a transaction of its own."""

    dependencies = [("tenants", "0006_retention")]

    operations = [ValidateConstraint(model_name="tenant", name="tenants_retention_months_check")]
