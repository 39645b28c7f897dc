"""The settings: one file, every difference between two installations is an environment variable.

docs/configuration.md lists the variables. `LOCAL_TRIAL=true` is the only thing that gives secrets a
default; script/server and script/test set it, an installation that people use must not.
"""

import os
from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from timerecord.env import Environment, variables

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment(variables(os.environ))

# Where the variables are kept that are not in the environment; read by now.
SECRET_ID = env.text("APP_SECRET_ID", "the name or ARN of a secret in Secrets Manager", default="")
env.matching(
    "APP_PARAMETER_PATH", r"(/[A-Za-z0-9_.-]+)+/?", "a path in Parameter Store, such as /app", default=""
)
LOCAL_TRIAL = env.flag("LOCAL_TRIAL", default=False)
# Its pages show the settings and the code: never outside a trial, whatever the variable says.
DEBUG = env.flag("DEBUG", default=False) and LOCAL_TRIAL
SECRET_KEY = env.text(
    "SECRET_KEY",
    "a random text of at least 50 characters, kept secret",
    default="only-for-a-local-trial-" + "x" * 40 if LOCAL_TRIAL else None,
    at_least=50,
)
SECRET_KEY_FALLBACKS = env.words(
    "SECRET_KEY_FALLBACKS", "earlier secret keys that still count, separated by commas", default=[]
)
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    "the host names that the service answers to, separated by commas",
    default=["localhost", "127.0.0.1", "[::1]"] if LOCAL_TRIAL else None,
)
SESSION_COOKIE_AGE = env.whole_number(
    "SESSION_TTL_SECONDS",
    "the seconds that somebody stays signed in",
    default=12 * 60 * 60,
    at_least=300,
    at_most=31 * 24 * 60 * 60,
)
# For places where people share a device: unset, nobody is signed out for doing nothing.
SESSION_IDLE_SECONDS = env.whole_number(
    "SESSION_IDLE_SECONDS",
    "the seconds that somebody stays signed in who does nothing",
    default=SESSION_COOKIE_AGE,
    at_least=300,
    at_most=31 * 24 * 60 * 60,
)
SESSION_STORE = env.choice("SESSION_STORE", ("database", "dynamodb"), default="database")
# What the DynamoDB client needs; its credentials and endpoint it finds by itself.
DYNAMODB_TABLE_PREFIX = AWS_REGION = ""
if SESSION_STORE == "dynamodb":
    DYNAMODB_TABLE_PREFIX = env.matching(
        "DYNAMODB_TABLE_PREFIX",
        r"[A-Za-z0-9_.-]{1,200}",
        "what the table's name begins with: 1 to 200 letters, digits, hyphens, dots and underscores",
        default="timerecord" if LOCAL_TRIAL else None,
    )
    AWS_REGION = env.matching(
        "AWS_REGION",
        r"[a-z]{2}(-[a-z]+)+-\d",
        "a region, such as ap-northeast-1",
        default="ap-northeast-1" if LOCAL_TRIAL else None,
    )
    env.matching(
        "AWS_ENDPOINT_URL_DYNAMODB",
        r"|https?://[^/\s]+/?",
        "the address of an emulator, http://HOST:PORT",
        default="",
    )
DATABASES = {
    alias: {
        **entry,
        # A connection outlives the request; one that died meanwhile costs a ping, not a failed request.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        # RDS Proxy pins a connection on which a cursor was declared.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        # Tests: the owner makes one database, in which all three meet.
        "TEST": {"MIRROR": None if alias == "owner" else "owner", "DEPENDENCIES": [], "SERIALIZE": False},
    }
    # One database, three roles: docs/adr/0008-tenant-isolation.md.
    for alias, entry in {
        "default": env.database("DATABASE_URL"),
        "owner": env.database("DATABASE_OWNER_URL", required=False),
        "import": env.database("DATABASE_IMPORT_URL", required=False),
    }.items()
    if entry or alias == "default"
}
if SECRET_ID:  # whose password may be another one by now
    for entry in DATABASES.values():
        if entry.get("ENGINE") == "django.db.backends.postgresql":
            entry["ENGINE"] = "timerecord.aws.rotated"
if "owner" not in DATABASES:
    DATABASES["default"]["TEST"]["MIRROR"] = None
# Read by bootstrap_database alone, which gives it to nobody else.
DATABASE_ADMIN_URL = env.text(
    "DATABASE_ADMIN_URL", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE", default=""
)
# Links in mails lead there: never to the host that a request names, which anybody can forge.
APP_BASE_URL = env.site(
    "APP_BASE_URL", default="http://localhost:8000" if LOCAL_TRIAL else None, plain=LOCAL_TRIAL
)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text(
    "DEFAULT_FROM_EMAIL",
    "the sender of the mails, NAME <ADDRESS>",
    default="タイムレコード <timerecord@localhost>" if LOCAL_TRIAL else None,
    containing="@",
)
# EMAIL_BACKEND, EMAIL_HOST and the like. A trial prints its mails on the screen.
globals().update(env.mail("EMAIL_URL", default="consolemail://" if LOCAL_TRIAL else None))
EMAIL_TIMEOUT = 10
# What waits until an answer is out is done in a thread of the process. One that stands still between requests
# needs `manage.py housekeeping` for it: see docs/configuration.md. Lambda is one: it names its function.
ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
ERRANDS_AFTER_ANSWER = env.flag("ERRANDS_AFTER_ANSWER", default=not ON_LAMBDA)
# Where files go that Lambda cannot hand over: unset, a page says that they are too large.
EXPORT_BUCKET = env.bucket("EXPORT_BUCKET")
# Where maintenance keeps anchors and manifests: unset, they are in its answer only.
EVIDENCE_BUCKET = env.bucket("EVIDENCE_BUCKET")
env.complain_if_wrong()

INSTALLED_APPS = [
    "timerecord.core",
    "timerecord.aws",
    "tenants",
    "accounts",
    "attendance",
    "timerecord.apps.AdminConfig",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    # Around all others: what it does takes place when they are done.
    "timerecord.core.afterwards.AfterAnswerMiddleware",
    "timerecord.core.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    # Inside of what sets headers, outside of what asks the store of sessions.
    "timerecord.core.instead.InsteadMiddleware",
    "timerecord.core.health.AliveMiddleware",
    "timerecord.core.sessions.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    # One transaction, in which PostgreSQL knows whose rows these are, around everything that reads them.
    "tenants.middleware.ScopeMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.StaleSessionMiddleware",
    # A page is for those who signed in, unless its view says otherwise.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.PasswordChangeMiddleware",
    "accounts.languages.ChosenLanguageMiddleware",
    "accounts.middleware.TenantTimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "timerecord.core.errors.MethodNotAllowedMiddleware",
]

ROOT_URLCONF = "timerecord.urls"
WSGI_APPLICATION = "timerecord.wsgi.application"
# Its only table is a log that nothing here writes: timerecord/apps.py.
MIGRATION_MODULES = {"admin": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- people -----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.EmailBackend"]
# The first one hashes; the others are verified, then replaced at the same sign-in.
PASSWORD_HASHERS = [
    "accounts.hashers.SmallLambdaArgon2PasswordHasher",
    "accounts.hashers.NodeBcryptPasswordHasher",
]
# Beside the length, what guessers try first. Any Unicode, as it was typed.
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "accounts.validators.SimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "last_name", "first_name", "email")},
    },
    {
        "NAME": "accounts.validators.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "accounts.validators.MaximumLengthValidator", "OPTIONS": {"max_length": 1024}},
    {"NAME": "accounts.validators.CommonPasswordValidator"},
    {"NAME": "accounts.validators.NumericPasswordValidator"},
]
# Five wrong passwords lock an account. A network may fail more often: a whole company can be behind one
# address, whose attempts count while they are looked at; but so can somebody who tries one password on many
# accounts. docs/adr/0010-accounts.md.
SIGN_IN_FAILURES_BEFORE_LOCK = 5
SIGN_IN_LOCK_SECONDS = 15 * 60
SIGN_IN_FAILURES_PER_ADDRESS = 100
SIGN_IN_ADDRESS_SECONDS = 15 * 60
# Where sessions are kept, and links and codes that go out by mail (an accounts.tokens.Store): by dotted path,
# for no app knows AWS. docs/sessions.md.
SESSION_ENGINE, TOKEN_STORE = {
    "database": ("accounts.session_store", "accounts.tokens.DatabaseStore"),
    "dynamodb": ("timerecord.aws.sessions", "timerecord.aws.tokens.DynamoDBStore"),
}[SESSION_STORE]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "attendance:home"
LOGOUT_REDIRECT_URL = "accounts:sign_in"

# --- languages and time -------------------------------------------------------------------------------
LANGUAGE_CODE = "ja"
LANGUAGES = [("ja", _("Japanese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "timerecord.formats"
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_SECURE = not LOCAL_TRIAL
USE_TZ = True
TIME_ZONE = "UTC"

# --- the log ------------------------------------------------------------------------------------------
# Django's own default shows an error nowhere while DEBUG is off. Here all goes up to the root logger: to
# the handler that what runs the process has put there, else warnings and errors go to standard error.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        # A line for each request: on Lambda, whose root handler takes everything, and nowhere else.
        "timerecord.requests": {"level": "INFO"},
        # Each scope that goes beyond one's own, with its reason.
        "tenants.scope": {"level": "INFO"},
        # The name of each purge, and what each command said: on Lambda nobody reads its answer.
        "attendance.purges": {"level": "INFO"},
        "timerecord.maintenance_handler": {"level": "INFO"},
    },
}

# --- the browser --------------------------------------------------------------------------------------
# Messages travel in a signed cookie: a punch costs no write to the session for them.
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
CSRF_FAILURE_VIEW = "timerecord.core.errors.csrf_failure"
# A name of our own: while an upgrade is under way, servers of the application before, or of another one of
# the same host, neither read this cookie nor take it away. With the prefix, browsers take it from this host
# over HTTPS alone: no other host of the domain puts one of its own into its place.
SESSION_COOKIE_NAME = "timerecord_session" if LOCAL_TRIAL else "__Host-timerecord_session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not LOCAL_TRIAL
SECURE_HSTS_SECONDS = 0 if LOCAL_TRIAL else 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL_TRIAL
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "img-src": [SELF, "data:"],
        "style-src": [SELF],
        "script-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# A trial serves the files from where they are written; everything else serves them hashed and compressed.
# Pages name files with their hash. What has none is only one more to be looked at when a process starts.
WHITENOISE_KEEP_ONLY_HASHED_FILES = not LOCAL_TRIAL
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = LOCAL_TRIAL
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if LOCAL_TRIAL
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
