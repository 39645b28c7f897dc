"""A bare Django on Lambda: the floor of bench/cold_start.py."""

from importlib import import_module
from pathlib import Path

import botocore.session
from apig_wsgi import make_lambda_handler
from botocore.config import Config
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    SECRET_KEY="bare" * 20,
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="bench.bare_urls",
    LANGUAGE_CODE="ja",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).resolve().parent / "templates"],
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "bare"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    STATIC_URL="/static/",
    USE_TZ=True,
)

application = get_wsgi_application()
import_module("bench.bare_urls")
# Argon2's library, as the project's own hasher loads it.
import_module("argon2")
client = botocore.session.get_session().create_client(
    "dynamodb", region_name="ap-northeast-1", config=Config(retries={"mode": "standard"})
)
handler = make_lambda_handler(application)
