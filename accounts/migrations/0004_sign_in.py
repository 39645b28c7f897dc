from django.db import migrations, models


class Migration(migrations.Migration):
    """What signing in counts, and what ends sessions: docs/adr/0010-accounts.md.

    The new columns are constants to PostgreSQL and nullable or defaulted: no row is rewritten, and code that
    knows nothing of them goes on.
    """

    dependencies = [("accounts", "0003_audit")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", reverse_sql="SET LOCAL lock_timeout = '5s'"),
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.IntegerField(db_default=0, default=0, editable=False, verbose_name="session epoch"),
        ),
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, max_length=8, null=True, verbose_name="language"),
        ),
        migrations.CreateModel(
            name="ThrottleCounter",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("hits", models.IntegerField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "db_table": "throttle_counters",
                "indexes": [models.Index(fields=["expires_at"], name="throttle_counters_expires_idx")],
            },
        ),
    ]
