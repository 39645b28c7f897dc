"""What of the history belongs to no tenant: verified apart, where tenants are verified one by one."""

import dataclasses
from collections.abc import Callable

from django.db import connection

from attendance import chains
from tenants import scope
from tenants.scope import Door, Reach, Scope

USERS = """
    SELECT u.id FROM users AS u
    WHERE u.tenant_id IS NULL AND (
        EXISTS (SELECT FROM work_sessions AS s WHERE s.user_id = u.id)
        OR EXISTS (SELECT FROM work_session_history AS h WHERE h.user_id = u.id)
    )
    ORDER BY u.id
"""


def verify(report: Callable[[chains.Finding], object] = lambda _: None) -> chains.Verified:
    """Verify those who have no tenant, each in a scope of their own, and look for whose user is gone.

    In no scope. With `chains.verify` of each tenant this is as much as `chains.verify` of all.
    """
    with scope.everything("the history is verified"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(chains.ORPHANS)
        orphans = [chains.Finding(*row) for row in cursor.fetchall()]
        cursor.execute(USERS)
        users = [pk for (pk,) in cursor.fetchall()]
    for finding in orphans:
        report(finding)
    verified = chains.Verified(0, 0, 0, orphans)
    for user in users:
        with scope.enter(Scope(reach=Reach.OWN, door=Door.COMMAND, user=user)):
            verified = together(verified, chains.verify(report=report))
    return verified


def together(one: chains.Verified, other: chains.Verified) -> chains.Verified:
    """Return the sum of two that have nothing in common."""
    return dataclasses.replace(
        one,
        rows=one.rows + other.rows,
        employees=one.employees + other.employees,
        sessions=one.sessions + other.sessions,
        findings=[*one.findings, *other.findings],
    )
