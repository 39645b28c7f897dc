"""What was done in a tenant, as its admins read it."""

import datetime as dt

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from accounts import people, trail, words
from accounts.models import AuditEvent, Role, RoleCode, User, UserStatus
from accounts.trail import Kind, Place
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, text_of

pytestmark = pytest.mark.django_db

AUDIT = "/admin/audit/"
NOT_COUNTED = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET LOCAL timerecord.scope")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="大西", first_name="総務", email="boss@example.com")


@pytest.fixture
def office(admin: User) -> Client:
    """The admin's browser, in English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    return client


@pytest.fixture
def as_admin(admin: User) -> Scope:
    return Scope(
        reach=Reach.TENANT, door=Door.ADMIN, tenant=admin.tenant_id, user=admin.pk, address="203.0.113.7"
    )


def rows(office: Client, **said: str) -> list[list[str]]:
    """Who, what, whom, from where: the newest first, without the time."""
    page = Page(office.get(AUDIT, said))
    return [[text_of(cell) for cell in row][1:] for row in page.all(".//tbody/tr")]


def sign_in(email: str, password: str) -> None:
    client = Client(headers={"user-agent": FIREFOX}, REMOTE_ADDR="198.51.100.4")
    client.post("/sign-in", {"email": email, "password": password})


def test_sign_ins_failures_and_locks(office: Client, employee: User) -> None:
    sign_in(employee.email, PASSWORD)
    for _ in range(5):
        sign_in(employee.email, "wrong")
    assert rows(office, kind="sign_ins", q=employee.email) == [
        ["佐藤 花子", "Signed in. Firefox · Windows", "themselves", "198.51.100.4"]
    ]
    failures = rows(office, kind="failures", q=employee.email)
    assert [row[1] for row in failures].count(
        "Signing in failed: a wrong password, or not possible at that time. Firefox · Windows"
    ) == 5
    assert any(row[1].startswith("Locked after too many wrong passwords.") for row in failures)
    assert any(row[1].startswith("Locked until ") for row in failures)
    assert {(row[0], row[2]) for row in failures} == {("somebody unknown", "佐藤 花子")}


def test_what_admins_do(office: Client, admin: User, employee: User, tenant: Tenant, as_admin: Scope) -> None:
    with scope.enter(as_admin.replace(reason="parental leave")):
        people.suspend(employee)
    with scope.enter(as_admin):
        code = RoleCode.objects.create(tenant=tenant, code="H" * 16, created_by=admin)
        RoleCode.objects.filter(pk=code.pk).update(is_disabled=True)
        User.objects.filter(pk=employee.pk).update(email="new@example.com")
        Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Seoul")

    (suspended,) = rows(office, kind="rights")
    assert suspended[0] == "大西 総務"
    assert "Status: active → suspended" in suspended[1]
    assert suspended[1].endswith("Reason: parental leave")
    assert suspended[2:] == ["佐藤 花子", "203.0.113.7"]
    assert rows(office, kind="codes") == [
        ["大西 総務", "Disabled.", "role code", "203.0.113.7"],
        ["大西 総務", "The code was made.", "role code", "203.0.113.7"],
    ]
    assert rows(office, kind="addresses") == [
        ["大西 総務", "E-mail address: employee2@example.com → new@example.com", "佐藤 花子", "203.0.113.7"]
    ]
    assert rows(office, kind="settings") == [
        ["大西 総務", "Time zone: Asia/Tokyo → Asia/Seoul", "青空商店", "203.0.113.7"],
        ["operator of the service", "The tenant was made. Reason: a test arranges", "青空商店", ""],
    ]


def test_new_accounts_and_passwords(office: Client, employee: User, as_admin: Scope) -> None:
    with scope.enter(as_admin):
        User.objects.filter(pk=employee.pk).update(password="!other", must_change_password=True)
    assert rows(office, kind="passwords") == [
        [
            "大西 総務",
            "The password was changed. It has to be changed at the next sign-in.",
            "佐藤 花子",
            "203.0.113.7",
        ]
    ]
    assert [row[2] for row in rows(office, kind="new")] == ["佐藤 花子", "大西 総務"]
    assert rows(office, kind="new", q="佐藤")[0][1] == (
        "The account was made. E-mail address: employee2@example.com Role: employee Reason: a test arranges"
    )


def test_who_looks_after_the_service_is_told_apart(
    office: Client, employee: User, make_user: MakeUser
) -> None:
    operator = make_user(tenant=None, role=Role.PLATFORM_ADMIN, last_name="見本", first_name="管理")
    with scope.everything("a customer asked", door=Door.ADMIN, user=operator.pk):
        User.objects.filter(pk=employee.pk).update(first_name="華子")
    found = rows(office, kind="operator")
    assert found[0][0] == "見本 管理, operator of the service"
    assert found[0][1] == "Given name: 花子 → 華子 Reason: a customer asked"
    assert "大西 総務" not in {row[0] for row in found}


def test_an_export_in_words() -> None:
    event = AuditEvent(
        kind="export.month",
        actor_name="大西 総務",
        door="admin",
        after={"month": "2026-10", "file": "a.xlsx"},
    )
    with translation.override("en"):
        (entry,) = words.entries([event])
    assert (entry.who, entry.what) == ("大西 総務", ["Downloaded a month.", "October 2026", "a.xlsx"])


def test_nothing_is_left_without_words(employee: User) -> None:
    with translation.override("en"):
        for kind in ("tenants.insert", "password.reset_requested", "email.change_requested", "sessions.x"):
            (entry,) = words.entries([AuditEvent(kind=kind, door="clock")])
            assert entry.what, kind
            assert all(entry.what), kind


class TestFinding:
    def test_by_name_of_whoever_did_it_or_had_it_done(
        self, office: Client, make_user: MakeUser, employee: User, as_admin: Scope
    ) -> None:
        other = make_user(last_name="田中")
        with scope.enter(as_admin):
            User.objects.filter(pk=other.pk).update(first_name="太郎")
        assert [row[2] for row in rows(office, q="田中 太郎")] == ["田中 太郎"] * 2
        assert {row[0] for row in rows(office, q="総務")} >= {"大西 総務"}
        assert rows(office, q="nobody") == []

    def test_somebody_whose_account_is_gone(
        self, office: Client, make_user: MakeUser, tenant: Tenant, as_admin: Scope
    ) -> None:
        gone = make_user(last_name="田中", role=Role.TENANT_ADMIN)
        with scope.enter(as_admin.replace(user=gone.pk)):
            Tenant.objects.filter(pk=tenant.pk).update(name="港")
        gone.delete()
        assert [row[0] for row in rows(office, q="田中")] == ["田中 花子"]
        assert rows(office)[0][1:3] == ["Deleted. Reason: a test arranges", "田中 花子"]

    def test_nothing_found_says_what_to_do(self, office: Client) -> None:
        page = Page(office.get(AUDIT, {"q": "nobody"}))
        assert "Nothing fits what you search for. Show all" in page.text(".//main")

    @pytest.mark.parametrize(
        "said", [{"kind": "x"}, {"before": "x"}, {"before": "2026-11-20_1"}, {"q": "%_\\"}, {"q": "\x00"}]
    )
    def test_what_it_does_not_know_it_passes_over(self, office: Client, said: dict[str, str]) -> None:
        assert office.get(AUDIT, said).status_code == 200

    @pytest.mark.parametrize("kind", Kind)
    def test_each_kind_is_found_and_nothing_else(self, office: Client, kind: Kind) -> None:
        assert office.get(AUDIT, {"kind": kind.value}).status_code == 200
        chosen = Page(office.get(AUDIT, {"kind": kind.value})).all(".//option[@selected]")
        assert [option.get("value") for option in chosen] == [kind.value]

    def test_a_search_goes_back_some_time_and_says_so(
        self, office: Client, employee: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A rare name would lead through all that was ever recorded."""
        with monkeypatch.context() as short:
            short.setattr(trail, "SEARCHED_AT_ONCE", dt.timedelta(0))
            page = Page(office.get(AUDIT, {"q": "佐藤"}))
            assert len(rows(office)) >= 2  # what nobody searches, is shown whatever its age
        assert page.all(".//tbody/tr") == []
        assert "Looked for back to" in page.text(".//main")
        (older,) = page.all(".//a[@rel='next']")
        found = Page(office.get(AUDIT + str(older.get("href"))))
        assert "佐藤 花子" in text_of(found.root.find(".//tbody"))
        assert found.root.find(".//a[@rel='next']") is None


class TestPages:
    def test_each_event_is_on_one_of_them(
        self, office: Client, tenant: Tenant, admin: User, other_tenant: Tenant
    ) -> None:
        for of in (tenant, other_tenant):
            User.objects.bulk_create(
                User(tenant=of, username=f"P{of.pk}-{n:03}", email=f"p{of.pk}-{n}@example.com", password="!")
                for n in range(120)
            )
        seen: list[str] = []
        address, pages = f"{AUDIT}?kind=new", 0
        while address:
            page = Page(office.get(address))
            seen += [text_of(e) for e in page.all(".//td[@class='whom']")]
            older = page.root.find(".//a[@rel='next']")
            address = AUDIT + older.get("href", "") if older is not None else ""
            pages += 1
        assert pages == 3
        assert seen == [*(f"P{tenant.pk}-{n:03}" for n in reversed(range(120))), "大西 総務"]

    def test_a_place_is_read_as_it_was_written(self, employee: User) -> None:
        event = AuditEvent.objects.latest("pk")
        place = Place(event.at, event.pk)
        assert Place.read(str(place)) == place

    def test_many_events_cost_as_much_as_few(self, office: Client, tenant: Tenant) -> None:
        def cost() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert office.get(AUDIT).status_code == 200
            return sum(not q["sql"].startswith(NOT_COUNTED) for q in captured.captured_queries)

        few = cost()
        User.objects.bulk_create(
            User(tenant=tenant, username=f"P{n}", email=f"p{n}@example.com", password="!") for n in range(300)
        )
        assert few == cost() == 4  # the session, the user with the tenant, the events, whom they are about


def test_nothing_of_another_tenant(
    office: Client, admin: User, make_user: MakeUser, other_tenant: Tenant
) -> None:
    other = make_user(tenant=other_tenant, last_name="他社")
    User.objects.filter(pk=other.pk).update(status=UserStatus.SUSPENDED)
    assert AuditEvent.objects.filter(tenant_id=other_tenant.pk).count() >= 2
    assert "他社" not in Page(office.get(AUDIT)).html
    assert trail.trail_page(other_tenant).lines  # in reach of the test, and of nobody's page


def test_a_name_is_never_markup(office: Client, make_user: MakeUser) -> None:
    make_user(last_name="<b>bold</b>")
    page = Page(office.get(AUDIT))
    assert "<b>bold" not in page.html
    assert "<b>bold</b> 花子" in page.text(".//tbody")
