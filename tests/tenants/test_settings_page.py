"""The settings of a tenant: what its admin changes, and the question before the days begin elsewhere."""

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEvent, Role, User
from tenants import scope
from tenants.actions import change_settings
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeUser, japan
from tests.html import Page, text_of

pytestmark = pytest.mark.django_db

SETTINGS = "/admin/settings/"


@pytest.fixture(autouse=True)
def friday_noon(time_machine: time_machine.TimeMachineFixture) -> None:
    time_machine.move_to(japan("2026-11-20 12:00:30"), tick=False)


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="大西", first_name="総務")


@pytest.fixture
def office(admin: User) -> Client:
    """The admin's browser, in English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    return client


def said(**changes: str) -> dict[str, str]:
    return {"name": "青空商店", "contact_email": "", "time_zone": "Asia/Tokyo", **changes}


def sent(office: Client, **changes: str) -> Page:
    """Send the form and see what comes."""
    return Page(office.post(SETTINGS, said(**changes), follow=True))


def of_tenant(admin: User) -> Scope:
    return Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=admin.tenant_id, user=admin.pk)


def test_what_it_shows(office: Client, tenant: Tenant, make_user: MakeUser, other_tenant: Tenant) -> None:
    make_user()
    make_user(status="suspended")
    make_user(tenant=other_tenant)
    page = Page(office.get(SETTINGS))
    fields = {e.get("name"): e.get("value", "") for e in page.all(".//main//form//input")}
    assert (fields["name"], fields["contact_email"]) == ("青空商店", "")
    zones = [text_of(e) for e in page.all(".//select[@name='time_zone']//option")]
    assert zones[0] == "Asia/Tokyo (UTC+09:00)"
    assert {"Europe/London (UTC+00:00)", "Europe/Zurich", "Pacific/Apia"} <= set(zones)
    assert [text_of(e) for e in page.all(".//option[@selected]")] == ["Asia/Tokyo (UTC+09:00)"]
    assert page.totals == [
        tenant.tenant_uid,
        "20 Nov 2026",
        "1 person",
        "at least 5 years, with the history of each",
    ]


@pytest.mark.parametrize(
    ("months", "said"),
    [
        (72, "at least 6 years, with the history of each"),
        (38, "at least 38 months, with the history of each"),
    ],
)
def test_how_long_records_are_kept(office: Client, tenant: Tenant, months: int, said: str) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(retention_months=months)
    assert Page(office.get(SETTINGS)).totals[-1] == said


def test_a_change_is_stored_and_leaves_a_trace(office: Client, admin: User, tenant: Tenant) -> None:
    page = sent(office, name="青空製作所", contact_email="office@example.com")
    assert page.messages == ["The settings are changed."]
    tenant.refresh_from_db()
    assert (tenant.name, tenant.contact_email) == ("青空製作所", "office@example.com")
    (event,) = AuditEvent.objects.filter(kind="tenants.update")
    assert (event.tenant_id, event.actor_id, event.door) == (tenant.pk, admin.pk, "admin")
    assert event.before == {"name": "青空商店", "contact_email": None}
    assert event.after == {"name": "青空製作所", "contact_email": "office@example.com"}


def test_nothing_changed_is_no_change(office: Client, tenant: Tenant) -> None:
    assert sent(office).messages == ["Nothing was changed."]
    assert not AuditEvent.objects.filter(kind="tenants.update").exists()


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("name", "", "Please enter a name."),
        ("name", " 　", "Please enter a name."),
        ("name", "x" * 101, "Ensure this value has at most 100 characters (it has 101)."),
        ("contact_email", "nobody", "This is no e-mail address. Please check it."),
        (
            "time_zone",
            "Asia/Edo",
            "Select a valid choice. Asia/Edo is not one of the available choices.",
        ),
        (
            "time_zone",
            "../etc/passwd",
            "Select a valid choice. ../etc/passwd is not one of the available choices.",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    office: Client, tenant: Tenant, field: str, value: str, error: str
) -> None:
    page = sent(office, **{"contact_email": "new@example.com", field: value})
    assert text_of(page.root.find(f".//div[@id='id_{field}_error']")) == error
    tenant.refresh_from_db()
    assert (tenant.name, tenant.contact_email, tenant.time_zone) == ("青空商店", None, "Asia/Tokyo")


class TestAnotherTimeZone:
    def test_it_is_asked_before_anything_is_stored(self, office: Client, tenant: Tenant) -> None:
        page = sent(office, name="青空製作所", time_zone="America/New_York")
        assert page.heading == "Another time zone?"
        assert page.totals == [
            "Asia/Tokyo (UTC+09:00) Now it is 20 Nov 2026, 12:00",
            "America/New_York (UTC-05:00) Now it is 19 Nov 2026, 22:00",
        ]
        assert page.notes == [
            "This is for the past as well: all work dates, days and months are counted anew."
        ]
        tenant.refresh_from_db()
        assert (tenant.name, tenant.time_zone) == ("青空商店", "Asia/Tokyo")

    def test_its_button_stores_all_that_was_said(self, office: Client, tenant: Tenant) -> None:
        question = sent(office, name="青空製作所", time_zone="America/New_York")
        data = {
            e.get("name", ""): e.get("value", "")
            for e in question.all(".//main//form//input")
            if e.get("name") != "csrfmiddlewaretoken"
        }
        page = Page(office.post(SETTINGS, data, follow=True))
        assert page.messages == ["The settings are changed."]
        tenant.refresh_from_db()
        assert (tenant.name, tenant.time_zone) == ("青空製作所", "America/New_York")
        (event,) = AuditEvent.objects.filter(kind="tenants.update")
        assert event.after == {"name": "青空製作所", "time_zone": "America/New_York"}

    def test_a_yes_is_for_the_zone_that_was_asked_about(self, office: Client, tenant: Tenant) -> None:
        page = sent(office, time_zone="America/New_York", confirmed="Asia/Seoul")
        assert page.heading == "Another time zone?"
        tenant.refresh_from_db()
        assert tenant.time_zone == "Asia/Tokyo"

    def test_one_that_is_not_in_the_list_stays(self, office: Client, tenant: Tenant) -> None:
        tenant.time_zone = "Japan"
        tenant.save()
        assert sent(office, name="青空製作所", time_zone="Japan").messages == ["The settings are changed."]
        tenant.refresh_from_db()
        assert tenant.time_zone == "Japan"

    def test_one_that_there_is_not_can_be_mended(self, office: Client, tenant: Tenant) -> None:
        tenant.time_zone = "Asia/Edo"
        tenant.save()
        assert Page(office.get(SETTINGS)).heading == "Settings"
        assert sent(office, confirmed="Asia/Tokyo").messages == ["The settings are changed."]
        tenant.refresh_from_db()
        assert tenant.time_zone == "Asia/Tokyo"


class TestTheAction:
    def test_what_another_admin_changed_meanwhile_stays(self, admin: User, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(contact_email="new@example.com")
        with scope.enter(of_tenant(admin)):
            changed = change_settings(tenant, name="青空製作所", contact_email=None, time_zone="Asia/Tokyo")
        assert changed == {"name"}
        tenant.refresh_from_db()
        assert (tenant.name, tenant.contact_email) == ("青空製作所", "new@example.com")

    def test_no_other_tenant(self, admin: User, tenant: Tenant, other_tenant: Tenant) -> None:
        with scope.enter(of_tenant(admin)), pytest.raises(Tenant.DoesNotExist):
            change_settings(other_tenant, name="mine", contact_email=None, time_zone="Asia/Tokyo")
        other_tenant.refresh_from_db()
        assert other_tenant.name == "港工業"

    def test_no_zone_that_there_is_not(self, admin: User, tenant: Tenant) -> None:
        with scope.enter(of_tenant(admin)), pytest.raises(ValidationError):
            change_settings(tenant, name="x", contact_email=None, time_zone="Asia/Edo")


def test_a_scope_of_ones_own_reaches_the_own_tenant(employee: User, other_tenant: Tenant) -> None:
    own = Scope(reach=Reach.OWN, door=Door.CLOCK, tenant=employee.tenant_id, user=employee.pk)
    with scope.enter(own):
        assert list(Tenant.objects.in_scope()) == [employee.tenant]


def test_a_zone_that_there_is_not_any_more_is_to_be_replaced(office: Client, tenant: Tenant) -> None:
    """SQL wrote it, or a later edition of the zones lacks it: saving the page as it stands is no failure."""
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Nowhere")
    page = sent(office, name="青空", time_zone="Asia/Nowhere")
    assert "There is no such time zone any more. Please choose another one." in page.html
    tenant.refresh_from_db()
    assert (tenant.name, tenant.time_zone) == ("青空商店", "Asia/Nowhere")
