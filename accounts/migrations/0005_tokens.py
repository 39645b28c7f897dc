from django.db import migrations, models


class Migration(migrations.Migration):
    """Other tokens than those of a forgotten password: docs/adr/0010-accounts.md.

    The new columns are constants to PostgreSQL: no row is rewritten, and code that knows nothing of them
    goes on.
    """

    dependencies = [("accounts", "0004_sign_in")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql="SET LOCAL lock_timeout = '5s'"),
        migrations.AddField(
            model_name="passwordreset",
            name="purpose",
            field=models.CharField(
                db_default="reset", default="reset", max_length=16, verbose_name="purpose"
            ),
        ),
        migrations.AddField(
            model_name="passwordreset",
            name="data",
            field=models.JSONField(blank=True, null=True, verbose_name="data"),
        ),
        migrations.AddField(
            model_name="passwordreset",
            name="tries",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name="tries"),
        ),
        migrations.AlterField(
            model_name="passwordreset",
            name="token",
            field=models.CharField(max_length=64, verbose_name="digest of the token"),
        ),
    ]
