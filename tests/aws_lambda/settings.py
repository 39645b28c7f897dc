"""The project's settings, with static files where a test collected them, and views that misbehave."""

import os
from pathlib import Path

from timerecord.settings import *  # noqa: F403 (Django reads settings as names of one module)

STATIC_ROOT = Path(os.environ["TESTS_STATIC_ROOT"])
ROOT_URLCONF = "tests.aws_lambda.urls"
