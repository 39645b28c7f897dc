"""Foreign keys whose rule for deletion is in the database, where no code can forget it.

Django 5.2 writes its own constraints without one. So the model says `db_constraint=False`, and the
migration adds the real constraint with the operation below.
"""

from typing import Literal

from django.db.migrations import RunSQL

OnDelete = Literal["RESTRICT", "CASCADE", "SET NULL"]


def foreign_key(table: str, column: str, target: str, on_delete: OnDelete) -> RunSQL:
    """Return the operation that ties a column to the `id` of another table, in a new table."""
    name = f"{table}_{column}_fkey"
    return RunSQL(
        f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" '
        f'FOREIGN KEY ("{column}") REFERENCES "{target}" ("id") ON DELETE {on_delete}',
        reverse_sql=f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"',
    )
