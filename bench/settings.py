"""The deployed settings, with a bare page beside the project's, over plain HTTP."""

import os
from pathlib import Path

from timerecord.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
STATIC_ROOT = Path(os.environ["BENCH_STATIC_ROOT"])
TEMPLATES[0]["DIRS"] = [*TEMPLATES[0]["DIRS"], BASE_DIR / "bench" / "templates"]  # noqa: F405
