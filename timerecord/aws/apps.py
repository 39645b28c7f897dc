from django.apps import AppConfig


class AwsConfig(AppConfig):
    name = "timerecord.aws"
    label = "aws"
