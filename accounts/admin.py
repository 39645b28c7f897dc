"""What the apps of Django's admin look for here: each registers with the tenant admin's site."""

from accounts import audit_admin, codes_admin, people_admin, sessions_admin, settings_admin

__all__ = ["audit_admin", "codes_admin", "people_admin", "sessions_admin", "settings_admin"]
