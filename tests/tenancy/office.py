"""A model admin, and what a tenant's admin tries with it."""

import dataclasses
import re
from typing import Any

from django.apps import apps
from django.contrib.admin.sites import all_sites
from django.http import HttpResponse
from django.test import Client, RequestFactory

from tenants.admin import ScopedModelAdmin
from tests.tenancy.protection import Admin
from tests.tenancy.world import World


@dataclasses.dataclass
class Office:
    """A model admin, and a tenant's admin who uses it."""

    world: World
    model_admin: ScopedModelAdmin[Any]
    declared: Admin
    visitor: str
    client: Client

    @property
    def mine(self) -> set[int]:
        tenant = self.world.people[self.visitor].user.tenant
        assert tenant
        return {row.pk for row in self.declared.rows(self.world, tenant)}

    @property
    def theirs(self) -> set[int]:
        """The rows of the other tenant."""
        here, there = self.world.here, self.world.there
        other = there if self.world.people[self.visitor].user.tenant_id == here.pk else here
        return {row.pk for row in self.declared.rows(self.world, other)}

    @property
    def foreign_marks(self) -> set[str]:
        tenant = self.world.people[self.visitor].user.tenant_id
        marks = {
            mark for p in self.world.people.values() if p.user.tenant_id != tenant for mark in p.marks
        } - self.world.minutes
        mine = {mark for p in self.world.people.values() if p.user.tenant_id == tenant for mark in p.marks}
        for other, those in self.world.tenant_marks.items():
            if other != tenant:
                marks |= those
        return marks - mine

    def get(self, **parameters: str | int) -> HttpResponse:
        response = self.client.get(self.model_admin.url("changelist"), parameters)
        assert isinstance(response, HttpResponse)
        return response

    def listed(self, **parameters: str | int) -> set[int]:
        """Return the rows of the list, by their links; nothing foreign is told on the page."""
        response = self.get(**parameters)
        assert response.status_code == 200
        html = response.content.decode()
        assert {
            mark for mark in self.foreign_marks - {str(v) for v in parameters.values()} if mark in html
        } == set()
        pattern = re.escape(self.model_admin.url("changelist")) + r"(\d+)/change/"
        return {int(pk) for pk in re.findall(pattern, html)}

    def request(self) -> Any:
        request = RequestFactory().get("/")
        request.user = self.world.people[self.visitor].user
        return request


def model_admin_of(name: str) -> ScopedModelAdmin[Any]:
    site_name, label = name.split(":")
    (site,) = [site for site in all_sites if site.name == site_name]
    model_admin = site.get_model_admin(apps.get_model(label))
    assert isinstance(model_admin, ScopedModelAdmin)
    return model_admin
