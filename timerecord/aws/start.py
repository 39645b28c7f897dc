"""What a process on Lambda does once, before its first request, and around a snapshot (SnapStart)."""

import contextlib
import logging
import random
from importlib import import_module

from django.conf import settings
from django.db import connections
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template
from django.urls import Resolver404, resolve, reverse
from django.utils import translation
from django.utils.module_loading import import_string

from timerecord.aws import client, configuration, large_answers, services
from timerecord.core.logs import WithoutValues

FIRST_PAGES = ("error.html", "accounts/sign_in.html", "attendance/home.html")


def make_ready() -> None:
    """Load what the first page needs: URLs, catalogues, templates, the engine of sessions with its client."""
    reverse(settings.LOGIN_URL)
    with contextlib.suppress(Resolver404):  # no pattern fits, so each is compiled
        resolve("/-")
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            translation.gettext("")
    for engine in engines.all():
        if isinstance(engine, DjangoTemplates):
            _loaded = engine.engine.template_context_processors
    for name in FIRST_PAGES:
        get_template(name)
    import_string(settings.MESSAGE_STORAGE)
    import_module(settings.SESSION_ENGINE)
    if settings.SESSION_STORE == "dynamodb":
        client.dynamodb()


def keep_values_out_of_the_log() -> None:
    """Have the runtime's handler, which writes a log that is kept, leave out what was typed or stored."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithoutValues())


def register_snapshot_hooks() -> None:
    """Have Lambda call the two functions below. Its own Python images have the module for that."""
    try:
        from snapshot_restore_py import register_after_restore, register_before_snapshot
    except ImportError:
        return
    register_before_snapshot(before_snapshot)
    register_after_restore(after_restore)


def before_snapshot() -> None:
    """Keep no connection: at the other end it will be gone."""
    connections.close_all()
    _forget_clients()


def after_restore() -> None:
    """Be one of many processes that began alike: with present secrets, and connections and chance of its own.

    What keys and tokens are made of comes from the kernel each time, and needs nothing.
    """
    random.seed()
    _forget_clients()
    configuration.reload()
    make_ready()


def _forget_clients() -> None:
    services.forget()
    client.use(None)
    large_answers.forget()
