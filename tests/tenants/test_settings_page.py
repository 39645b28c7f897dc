"""The settings of a tenant: what its admin changes, and the question before the days begin elsewhere."""

import dataclasses

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEvent, Role, User
from tenants import scope
from tenants.actions import Settings, change_settings
from tenants.changes import ChangedMeanwhileError
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeUser, japan
from tests.html import Page, fields_of, text_of

pytestmark = pytest.mark.django_db

SETTINGS = "/admin/settings/"
SEEN = Settings(name="青空商店", contact_email="", time_zone="Asia/Tokyo")


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
        page = Page(office.post(SETTINGS, fields_of(question), follow=True))
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


class TestTwoAdminsAtOnce:
    """Each has a page with a form, and both save."""

    def test_what_this_one_did_not_touch_stays_as_the_other_left_it(
        self, office: Client, tenant: Tenant
    ) -> None:
        form = fields_of(Page(office.get(SETTINGS)))
        Tenant.objects.filter(pk=tenant.pk).update(
            contact_email="new@example.com", time_zone="America/New_York"
        )
        page = Page(office.post(SETTINGS, {**form, "name": "青空製作所"}, follow=True))
        assert page.messages == ["The settings are changed."]
        tenant.refresh_from_db()
        assert (tenant.name, tenant.contact_email, tenant.time_zone) == (
            "青空製作所",
            "new@example.com",
            "America/New_York",
        )

    def test_who_changes_the_same_thing_is_told(self, office: Client, tenant: Tenant) -> None:
        form = {
            **fields_of(Page(office.get(SETTINGS))),
            "name": "青空製作所",
            "contact_email": "a@example.com",
        }
        Tenant.objects.filter(pk=tenant.pk).update(name="青空工業")
        refused = Page(office.post(SETTINGS, form))
        assert text_of(refused.root.find(".//div[@id='id_name_error']")) == (
            "Somebody else has changed this in the meantime: it is “青空工業” now. If yours is right all the "
            "same, please save it once more."
        )
        tenant.refresh_from_db()
        assert (tenant.name, tenant.contact_email) == ("青空工業", None)
        # Sent once more, it counts: by then the page has shown it.
        again = Page(office.post(SETTINGS, fields_of(refused), follow=True))
        assert again.messages == ["The settings are changed."]
        tenant.refresh_from_db()
        assert (tenant.name, tenant.contact_email) == ("青空製作所", "a@example.com")

    def test_another_zone_meanwhile_is_told_before_the_question_and_after_it(
        self, office: Client, tenant: Tenant
    ) -> None:
        form = {**fields_of(Page(office.get(SETTINGS))), "time_zone": "Asia/Seoul"}
        question = Page(office.post(SETTINGS, form))
        assert question.heading == "Another time zone?"
        Tenant.objects.filter(pk=tenant.pk).update(time_zone="UTC")
        for sent_in in (form, fields_of(question)):
            page = Page(office.post(SETTINGS, sent_in))
            said = text_of(page.root.find(".//div[@id='id_time_zone_error']"))
            assert "it is “UTC" in said
        tenant.refresh_from_db()
        assert tenant.time_zone == "UTC"
        # Who insists is asked again, from what there is now.
        question = Page(office.post(SETTINGS, fields_of(page)))
        assert [total[:10] for total in question.totals] == ["UTC (UTC+0", "Asia/Seoul"]
        assert Page(office.post(SETTINGS, fields_of(question), follow=True)).messages == [
            "The settings are changed."
        ]


class TestTheAction:
    def test_the_same_thing_is_not_overwritten(self, admin: User, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(name="青空工業")
        with scope.enter(of_tenant(admin)), pytest.raises(ChangedMeanwhileError) as error:
            change_settings(tenant, dataclasses.replace(SEEN, name="青空製作所"), seen=SEEN)
        assert error.value.present == {"name": "青空工業"}

    def test_what_another_admin_changed_meanwhile_stays(self, admin: User, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(contact_email="new@example.com")
        with scope.enter(of_tenant(admin)):
            changed = change_settings(tenant, dataclasses.replace(SEEN, name="青空製作所"), seen=SEEN)
        assert changed == {"name"}
        tenant.refresh_from_db()
        assert (tenant.name, tenant.contact_email) == ("青空製作所", "new@example.com")

    def test_no_other_tenant(self, admin: User, tenant: Tenant, other_tenant: Tenant) -> None:
        with scope.enter(of_tenant(admin)), pytest.raises(Tenant.DoesNotExist):
            change_settings(other_tenant, dataclasses.replace(SEEN, name="mine"), seen=SEEN)
        other_tenant.refresh_from_db()
        assert other_tenant.name == "港工業"

    def test_no_zone_that_there_is_not(self, admin: User, tenant: Tenant) -> None:
        with scope.enter(of_tenant(admin)), pytest.raises(ValidationError):
            change_settings(tenant, dataclasses.replace(SEEN, time_zone="Asia/Edo"), seen=SEEN)


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
