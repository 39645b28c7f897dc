"""Indexes that migrations make while everybody works."""

from django.db import migrations, models

KEEP = "SELECT set_config('timerecord.lock_timeout', current_setting('lock_timeout'), false)"
WAIT = "SET lock_timeout = 0"
AS_KEPT = "SELECT set_config('lock_timeout', current_setting('timerecord.lock_timeout'), false)"


def index_concurrently(model_name: str, index: models.Index, on: str) -> migrations.SeparateDatabaseAndState:
    """Return the operation that makes an index: `on` is the table, and what of it the index has, in SQL.

    For migrations that are not atomic. It waits for whoever began before, however long they take, for it
    keeps nobody waiting itself; and what an earlier try left, which is of no use, goes first.
    """
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"
    make = f"CREATE INDEX CONCURRENTLY {index.name} ON {on}"
    nothing = migrations.RunSQL.noop
    # Backwards they run from the last one to the first.
    steps = [(KEEP, AS_KEPT), (WAIT, nothing), (drop, drop), (make, WAIT), (AS_KEPT, KEEP)]
    return migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL(forwards, backwards) for forwards, backwards in steps],
        state_operations=[migrations.AddIndex(model_name, index)],
    )
