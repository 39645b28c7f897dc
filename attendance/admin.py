"""What the apps of Django's admin look for here: each registers with the site that it belongs to."""

from attendance import archive_admin, months_admin, platform_admin, work_sessions_admin

__all__ = ["archive_admin", "months_admin", "platform_admin", "work_sessions_admin"]
