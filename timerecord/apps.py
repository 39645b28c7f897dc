"""How Django's own apps are put together here."""

from importlib import import_module

from django.apps import apps
from django.contrib.admin.apps import SimpleAdminConfig
from django.utils.module_loading import module_has_submodule


class AdminConfig(SimpleAdminConfig):
    """Django's admin without its log: what is changed there, the audit trail and the history record.

    Without the log's model there is no table `django_admin_log` either, which would hold names of a tenant's
    rows outside of every barrier. MIGRATION_MODULES leaves out the migrations that make it.
    """

    # Whoever registers a model says with which site: there is none to be registered with by mistake.
    default_site = "timerecord.core.admin.no_default_site"

    def import_models(self) -> None:
        """Know no model of the app."""
        self.models = apps.all_models[self.label]

    def ready(self) -> None:
        """Let each of our apps' admin.py register what it has. Not Django's own, such as auth's groups."""
        super().ready()
        for app in apps.get_app_configs():
            if not app.name.startswith("django.") and module_has_submodule(app.module, "admin"):
                import_module(f"{app.name}.admin")
