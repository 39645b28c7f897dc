"""Every model admin says in protection.ADMINS whose rows its pages show.

There is none yet: `django.contrib.admin` is not installed. What test_every_url.py proves of URLs, each has to
prove once it is: on its list, its pages to add, change and delete, in actions, filters, search, autocomplete,
foreign keys in POST data, at /admin/r/ and in its history. The site's URLs have to be declared as all others.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.sites import AdminSite, all_sites
from django.db import models

from accounts.models import User
from attendance.models import WorkSession
from tests.tenancy.protection import ADMINS, Guard


@dataclasses.dataclass(frozen=True)
class Site:
    """As much of an AdminSite as is looked at here."""

    name: str
    _registry: dict[type[models.Model], Any]


def complaints(sites: Iterable[AdminSite | Site]) -> list[str]:
    """Return a line for each model admin without an entry, and for each entry without a model admin."""
    there = {f"{site.name}:{model._meta.label}" for site in sites for model in site._registry}
    return [
        *(f"{name}: say in tests/tenancy/protection.py whose rows" for name in sorted(there - set(ADMINS))),
        *(f"{name}: there is no such model admin any more" for name in sorted(set(ADMINS) - there)),
    ]


def test_every_model_admin_says_whose_rows_it_shows() -> None:
    assert complaints(all_sites) == []


def test_one_that_is_added_or_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADMINS, "office:accounts.User", Guard.OWN)
    monkeypatch.setitem(ADMINS, "office:tenants.Tenant", Guard.OWN)
    sites = [Site("office", {User: object(), WorkSession: object()}), Site("second", {User: object()})]
    assert complaints(sites) == [
        "office:attendance.WorkSession: say in tests/tenancy/protection.py whose rows",
        "second:accounts.User: say in tests/tenancy/protection.py whose rows",
        "office:tenants.Tenant: there is no such model admin any more",
    ]


def test_whoever_installs_the_admin_comes_here_first() -> None:
    """Then goes what stands above, and a base class for model admins has to be written, with its proofs."""
    assert not apps.is_installed("django.contrib.admin")
