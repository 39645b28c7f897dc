"""What the apps of Django's admin look for here: each registers with the tenant admin's site."""

from attendance import months_admin, work_sessions_admin

__all__ = ["months_admin", "work_sessions_admin"]
