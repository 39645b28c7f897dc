from django.apps import AppConfig


class AttendanceConfig(AppConfig):
    name = "attendance"

    def ready(self) -> None:
        """Register the models of the import, which live beside those of the clock."""
        from attendance import import_models  # noqa: F401
