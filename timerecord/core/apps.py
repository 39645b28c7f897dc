from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "timerecord.core"
    label = "core"
