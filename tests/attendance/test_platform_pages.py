"""The platform's site: tenants, made, suspended, restored, closed, reopened, and looked into."""

import csv
import io
import json
import re
import zipfile
from typing import IO, Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import support
from accounts.models import AuditEvent, Role, SupportAccess, User, UserStatus
from attendance import platform_reports
from attendance.import_models import ImportedRow, ImportSource, QuarantinedRow
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tests.conftest import PASSWORD, MakeSession, MakeUser, japan, platform_scope
from tests.html import Page, ja, text_of

CREATE = "/platform/tenants/tenant/add/"
GIVEN = {
    "name": "新しい会社",
    "contact_email": "office@new.example.com",
    "time_zone": "Asia/Tokyo",
    "language": "ja",
    "last_name": "森",
    "first_name": "桜子",
    "email": "sakurako@new.example.com",
}
FIRST_PASSWORD = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}")

Answer = Any


def at(tenant: Tenant, page: str = "change") -> str:
    return f"/platform/tenants/tenant/{tenant.pk}/{page}/"


def asked(client: Client, **changes: str) -> dict[str, str]:
    """Return what the form says when it is filled in."""
    (hidden,) = Page(client.get(CREATE)).all(".//main//input[@name='uid']")
    return {**GIVEN, "uid": str(hidden.get("value")), **changes}


def names(client: Client, query: str = "") -> list[str]:
    return [text_of(link) for link in Page(client.get(f"/platform/{query}")).all(".//tbody/tr/th/a")]


def errors(answer: Answer) -> set[str]:
    assert answer.status_code == 200
    return {text_of(p) for p in Page(answer).all(".//p[@class='field-error']")}


def told(client: Client, answer: Answer) -> str:
    assert answer.status_code == 303
    return Page(client.get(answer["Location"])).text(".//*[@role='status']")


def kinds(tenant: Tenant) -> list[tuple[str, str | None]]:
    events = AuditEvent.objects.filter(tenant_id=tenant.pk).order_by("pk")
    return list(events.values_list("kind", "reason"))


class TestTheList:
    def test_what_it_says(
        self, platform: Client, tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_user(status=UserStatus.SUSPENDED)
        make_session("2026-11-20 09:00", "2026-11-20 17:00", user=make_user())
        source = ImportSource.objects.create(digest="d" * 64, file_name="old.db", generation=3)
        ImportedRow.objects.create(
            source=source, table_name="tenants", legacy_id=1, row_id=tenant.pk, digest=b"x"
        )
        QuarantinedRow.objects.create(
            source=source, tenant=tenant.pk, table_name="users", row={}, reason_code="taken", digest=b"x"
        )
        (row,) = Page(platform.get("/platform/")).all(".//tbody/tr")
        cells = [text_of(cell) for cell in row]
        assert cells[0] == f"青空商店 {tenant.tenant_uid}"
        assert cells[1:5] == ["有効", "3", "2", "1"]
        assert cells[5] == "2026/11/20 17:00"
        assert cells[6].endswith("取り込めなかった行 1件")

    def test_search_filter_and_order(self, platform: Client, tenant: Tenant, other_tenant: Tenant) -> None:
        Tenant.objects.filter(pk=other_tenant.pk).update(
            status=TenantStatus.SUSPENDED, contact_email="harbour@example.com"
        )
        User.objects.create_user(email="x@example.com", password=None, tenant=other_tenant)
        assert names(platform) == ["港工業", "青空商店"]
        assert names(platform, "?order=desc") == ["青空商店", "港工業"]
        assert names(platform, "?q=harbour") == names(platform, "?state=suspended") == ["港工業"]
        assert names(platform, f"?q={tenant.tenant_uid}") == names(platform, "?state=active") == ["青空商店"]
        assert names(platform, "?sort=employees&order=desc") == ["港工業", "青空商店"]
        assert names(platform, "?sort=employees") == ["青空商店", "港工業"]
        assert names(platform, "?sort=created&order=desc") == ["港工業", "青空商店"]
        assert names(platform, "?q=nothing") == []
        # What nobody knows is passed over.
        assert len(names(platform, "?state=x&sort=y&page=9999999")) == 2

    def test_the_last_activity_is_the_last_punch_or_sign_in(
        self, platform: Client, make_user: MakeUser, make_session: MakeSession, other_tenant: Tenant
    ) -> None:
        make_session("2020-01-01 09:00", "2020-01-01 17:00", user=make_user())
        newer = make_user(tenant=other_tenant)
        make_session("2021-01-01 09:00", user=newer)
        assert names(platform, "?sort=activity&order=desc") == ["港工業", "青空商店"]
        client = Client()
        client.post("/sign-in", {"email": "employee1@example.com", "password": PASSWORD})
        assert names(platform, "?sort=activity&order=desc") == ["青空商店", "港工業"]

    def test_work_sessions_are_counted_up_to_a_limit(
        self, platform: Client, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for day in range(1, 4):
            make_session(f"2026-11-0{day} 09:00", f"2026-11-0{day} 17:00")
        monkeypatch.setattr(platform_reports, "COUNTED_IN_LIST", 2)
        (row,) = Page(platform.get("/platform/")).all(".//tbody/tr")
        assert text_of(row[4]) == "2以上"

    @pytest.mark.parametrize("query", ["", "?sort=activity", "?sort=employees&order=desc&q=1"])
    def test_three_tenants_cost_as_many_queries_as_three_hundred(self, platform: Client, query: str) -> None:
        numbers = []
        for count in (3, 300):
            there = Tenant.objects.count()
            made = Tenant.objects.bulk_create([Tenant(name=f"会社{n + 1}") for n in range(there, count)])
            User.objects.bulk_create(
                [User(tenant=t, email=f"{t.pk}@example.com", username="x", password="!") for t in made]
            )
            with CaptureQueriesContext(connection) as found:
                assert platform.get(f"/platform/{query}").status_code == 200
            numbers.append(len(found))
        assert numbers[0] == numbers[1]

    def test_without_a_tenant_it_says_what_to_do(self, platform: Client) -> None:
        assert Page(platform.get("/platform/")).text(".//p[@class='empty']") == ja(
            "There is no tenant yet. Create the first one, or move a customer off the old application with "
            "import_sqlite."
        )


class TestCreating:
    def test_a_tenant_and_its_first_admin(self, platform: Client, operator: User) -> None:
        answer = platform.post(CREATE, asked(platform))
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        password = Page(answer).text(".//dd[@id='secret']")
        assert FIRST_PASSWORD.fullmatch(password)
        made = Tenant.objects.get()
        assert re.fullmatch(r"ten_[0-9a-f]{12}", made.tenant_uid)
        assert (made.name, made.time_zone, made.status) == ("新しい会社", "Asia/Tokyo", "active")
        admin = User.objects.get(tenant=made)
        assert (admin.role, admin.must_change_password, admin.language) == (Role.TENANT_ADMIN, True, "ja")
        events = AuditEvent.objects.filter(tenant_id=made.pk).order_by("pk")
        assert [(e.kind, e.actor_id) for e in events] == [
            ("tenants.insert", operator.pk),
            ("users.insert", operator.pk),
        ]
        assert password not in json.dumps([e.after for e in events])

        newcomer = Client()
        newcomer.post("/sign-in", {"email": GIVEN["email"], "password": password})
        assert newcomer.get("/admin/")["Location"] == "/password/change?next=/admin/"

    def test_twice_sent_it_is_one(self, platform: Client) -> None:
        data = asked(platform)
        platform.post(CREATE, data)
        again = platform.post(CREATE, {**data, "email": "another@new.example.com"})
        made = Tenant.objects.get()
        assert again["Location"] == at(made)
        assert User.objects.filter(tenant=made).count() == 1
        assert "作成されています" in told(platform, again)

    @pytest.mark.parametrize("field", ["name", "last_name", "first_name", "email"])
    def test_what_is_missing_is_said_at_its_field_and_the_rest_is_kept(
        self, platform: Client, field: str
    ) -> None:
        answer = platform.post(CREATE, asked(platform, **{field: ""}))
        assert len(errors(answer)) == 1
        for name, value in GIVEN.items():
            if name not in (field, "time_zone", "language"):
                (box,) = Page(answer).all(f".//main//input[@name='{name}']")
                assert box.get("value") == value
        assert not Tenant.objects.exists()

    def test_a_taken_address_makes_nothing(self, platform: Client, operator: User) -> None:
        answer = platform.post(CREATE, asked(platform, email=operator.email))
        assert errors(answer) == {
            ja("This e-mail address cannot be used. Please ask whom it is for to name another one.")
        }
        assert not Tenant.objects.exists()

    @pytest.mark.parametrize("uid", ["", "forged", "ten_000000000000"])
    def test_nobody_chooses_the_uid(self, platform: Client, uid: str) -> None:
        assert platform.post(CREATE, asked(platform, uid=uid)).status_code == 200
        assert not Tenant.objects.exists()

    def test_a_lost_first_password_is_given_again_until_it_is_changed(self, platform: Client) -> None:
        first = Page(platform.post(CREATE, asked(platform))).text(".//dd[@id='secret']")
        made = Tenant.objects.get()
        again = platform.post(at(made, "password"), {"reason": "画面を閉じた"})
        second = Page(again).text(".//dd[@id='secret']")
        assert FIRST_PASSWORD.fullmatch(second)
        assert first != second
        assert not Client().login(email=GIVEN["email"], password=first)
        User.objects.filter(tenant=made).update(must_change_password=False)
        assert platform.post(at(made, "password"), {"reason": "x"}).status_code == 303
        assert User.objects.get(tenant=made).check_password(second)

    def test_not_where_somebody_else_is(self, platform: Client) -> None:
        platform.post(CREATE, asked(platform))
        made = Tenant.objects.get()
        User.objects.create_user(email="x@example.com", password=None, tenant=made)
        assert platform.post(at(made, "password"), {"reason": "x"}).status_code == 303


class TestSuspending:
    def test_everybody_is_out_at_once_and_back_later(
        self, platform: Client, tenant: Tenant, employee_client: Client, employee: User
    ) -> None:
        assert errors(platform.post(at(tenant, "suspend"))) == {"理由を入力してください。"}
        assert employee_client.get("/").status_code == 200
        answer = platform.post(at(tenant, "suspend"), {"reason": "未払い"})
        assert told(platform, answer) == ja("The company %(name)s is suspended.", name="青空商店")
        assert employee_client.get("/")["Location"] == "/sign-in?next=/"
        assert not Client().login(email=employee.email, password=PASSWORD)
        assert platform.post(at(tenant, "suspend"), {"reason": "x"}).status_code == 303  # not any more
        platform.post(at(tenant, "restore"), {"reason": "入金"})
        assert Client().login(email=employee.email, password=PASSWORD)
        found = [entry for entry in kinds(tenant) if entry[0] == "tenants.update"]
        assert found == [("tenants.update", "未払い"), ("tenants.update", "入金")]
        assert "未払い" in platform.get(at(tenant, "history")).content.decode()

    def test_a_tenants_admin_does_not_restore_it(self, tenant: Tenant, make_user: MakeUser) -> None:
        admin = make_user(role=Role.TENANT_ADMIN)
        reach = scope.Scope(reach=scope.Reach.TENANT, door=scope.Door.ADMIN, tenant=tenant.pk, user=admin.pk)
        with (
            pytest.raises(Exception, match="no tenant admin changes the state"),
            scope.enter(reach),
        ):
            Tenant.objects.in_scope().update(status=TenantStatus.SUSPENDED)


@pytest.fixture
def access(operator: User, tenant: Tenant) -> SupportAccess:
    with scope.enter(platform_scope(operator)):
        return support.begin(tenant, operator, reason="問い合わせ 12", minutes=30)


class TestLooking:
    def test_from_the_reason_to_the_records_and_out(
        self, platform: Client, tenant: Tenant, make_session: MakeSession, make_user: MakeUser
    ) -> None:
        make_session("2026-11-02 09:00", "2026-11-02 17:30")
        month = f"/platform/support/{tenant.pk}/?month=2026-11"
        assert platform.get(month)["Location"] == at(tenant, "access")
        assert len(errors(platform.post(at(tenant, "access"), {"minutes": "15"}))) == 1
        assert platform.post(at(tenant, "access"), {"minutes": "61", "reason": "x"}).status_code == 200
        begun = platform.post(at(tenant, "access"), {"minutes": "60", "reason": "問い合わせ 12"})
        assert begun["Location"] == f"/platform/support/{tenant.pk}/"
        platform.post(at(tenant, "access"), {"minutes": "60", "reason": "again"})
        found = SupportAccess.objects.get()
        assert (found.ends_at - found.started_at).total_seconds() == 3600

        page = Page(platform.get(month))
        assert [text_of(cell) for cell in page.all(".//tbody/tr")[0]] == [
            "佐藤 花子", "1日", "8時間30分", "2026/11/02 17:30",
        ]  # fmt: skip
        (link,) = page.all(".//tbody/tr/th/a")
        days = Page(platform.get(str(link.get("href"))))
        assert "09:00 – 17:30" in text_of(days.all(".//tbody/tr")[0])

        desk = Client()
        admin = make_user(role=Role.TENANT_ADMIN)
        desk.force_login(admin)
        note = Page(desk.get("/admin/")).text(".//div[@class='note looked-at']")
        assert "運営 太郎" in note
        assert "問い合わせ 12" in note
        trail = desk.get("/admin/audit/?kind=operator").content.decode()
        for text in ("Looked at everybody's month, as operator.", "Looked at somebody's month, as operator."):
            assert ja(text) in trail
        looks = [
            [text_of(cell) for cell in row] for row in Page(desk.get("/admin/audit/")).all(".//tbody/tr")
        ]
        (whom,) = [row[3] for row in looks if ja("Looked at somebody's month, as operator.") in row[2]]
        assert whom == "佐藤 花子"
        (begun_line,) = [row[2] for row in looks if ja("Until") in row[2]]
        assert begun_line.count("問い合わせ 12") == 1
        assert desk.post(f"/admin/support/{found.pk}/end/").status_code == 303
        assert "looked-at" not in desk.get("/admin/").content.decode()
        assert platform.get(month)["Location"] == at(tenant, "access")
        found.refresh_from_db()
        assert found.ended_by == admin.pk

    def test_the_month_is_searched_and_ordered_as_the_tenants_own(
        self, platform: Client, tenant: Tenant, access: SupportAccess, make_user: MakeUser
    ) -> None:
        make_user(last_name="阿部", first_name="次郎")
        make_user(last_name="和田", first_name="三郎")
        address = f"/platform/support/{tenant.pk}/"

        def shown(query: str) -> list[str]:
            page = Page(platform.get(f"{address}?month=2026-10{query}"))
            return [text_of(link) for link in page.all(".//tbody/tr/th/a")]

        assert sorted(shown("&q=阿部") + shown("&q=和田")) == ["和田 三郎", "阿部 次郎"]
        assert shown("&order=desc") == shown("")[::-1]
        nobody = Page(platform.get(f"{address}?month=2026-10&q=nobody"))
        (form,) = nobody.all(".//form[@role='search']")
        kept = {field.get("name"): field.get("value") for field in form.iter("input")}
        assert kept == {"q": "nobody", "month": "2026-10"}
        (back,) = nobody.all(".//p[@class='empty']/a")
        assert back.get("href") == "?month=2026-10"

    def test_it_can_be_ended_by_who_began_it(
        self, platform: Client, tenant: Tenant, access: SupportAccess
    ) -> None:
        assert platform.get(f"/platform/support/{tenant.pk}/").status_code == 200
        answer = platform.post(f"/platform/support/{tenant.pk}/end/")
        assert told(platform, answer) == ja(
            "The access to the records of %(name)s is ended.", name="青空商店"
        )
        assert platform.get(f"/platform/support/{tenant.pk}/").status_code == 303
        assert platform.post(f"/platform/support/{tenant.pk}/end/").status_code == 303

    def test_another_tenants_admin_neither_sees_nor_ends_it(
        self, access: SupportAccess, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        desk = Client()
        desk.force_login(make_user(role=Role.TENANT_ADMIN, tenant=other_tenant))
        assert "looked-at" not in desk.get("/admin/").content.decode()
        assert desk.post(f"/admin/support/{access.pk}/end/").status_code == 404
        access.refresh_from_db()
        assert access.ended_at is None

    def test_another_platform_admin_has_none_by_it(
        self, access: SupportAccess, tenant: Tenant, make_user: MakeUser
    ) -> None:
        other = Client()
        other.force_login(make_user(role=Role.PLATFORM_ADMIN, tenant=None))
        assert other.get(f"/platform/support/{tenant.pk}/").status_code == 303

    def test_somebody_of_another_tenant_is_not_found_through_it(
        self,
        platform: Client,
        access: SupportAccess,
        tenant: Tenant,
        make_user: MakeUser,
        other_tenant: Tenant,
    ) -> None:
        stranger = make_user(tenant=other_tenant)
        url = f"/platform/support/{tenant.pk}/employees/{stranger.pk}/months/2026-11/"
        assert platform.get(url).status_code == 404

    def test_what_an_import_refused_is_read_with_it_alone(
        self, platform: Client, tenant: Tenant, operator: User
    ) -> None:
        source = ImportSource.objects.create(digest="d" * 64, file_name="old.db", generation=3)
        QuarantinedRow.objects.create(
            source=source, tenant=tenant.pk, table_name="work_sessions", legacy_id=7, digest=b"x",
            row={"start_time": "2019-01-01T09:00"}, reason_code="overlap", reason="overlaps with 6",
        )  # fmt: skip
        before = platform.get(at(tenant, "quarantine")).content.decode()
        assert ja("It overlaps with another work session of the same person.") in before
        assert "2019-01-01" not in before
        assert "overlaps with 6" not in before
        with scope.enter(platform_scope(operator)):
            support.begin(tenant, operator, reason="x", minutes=15)
        after = platform.get(at(tenant, "quarantine")).content.decode()
        assert "2019-01-01" in after
        assert ("access.quarantine", "x") in kinds(tenant)
        assert "old.db" in platform.get("/platform/imports/").content.decode()
        assert "青空商店" in platform.get("/platform/accesses/").content.decode()


def closing_code(file: IO[bytes]) -> str:
    """Return what somebody reads in an archive that they received."""
    with zipfile.ZipFile(file) as parts:
        return str(json.loads(parts.read("tenant.json"))["closing_code"])


def code_of(client: Client, url: str) -> str:
    answer: Answer = client.get(url)
    return closing_code(io.BytesIO(answer.getvalue()))


def archive_of(client: Client, url: str) -> dict[str, list[list[str]]]:
    answer: Answer = client.get(url)
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as parts:
        return {
            name: list(csv.reader(io.StringIO(parts.read(name).decode("utf-8-sig"))))
            for name in parts.namelist()
            if name.endswith(".csv")
        }


class TestClosing:
    @pytest.fixture
    def suspended(self, tenant: Tenant, make_session: MakeSession) -> Tenant:
        make_session("2026-11-02 09:00", "2026-11-02 17:30")
        Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.SUSPENDED)
        return tenant

    def test_after_an_archive_with_the_name_typed(
        self, platform: Client, suspended: Tenant, employee: User, access: SupportAccess
    ) -> None:
        said = {"reason": "解約", "name": "青空商店", "code": "x"}
        answer = platform.post(at(suspended, "close"), said)
        assert ja("Nothing was exported yet. Please download the archive of the records first.") in (
            answer.content.decode()
        )
        found = archive_of(platform, f"/platform/support/{suspended.pk}/archive.zip")
        assert found["work_sessions.csv"][1][2:4] == [
            "2026-11-02T00:00:00+00:00",
            "2026-11-02T08:30:00+00:00",
        ]
        assert found["people.csv"][1][4] == employee.email
        head, row = found["history.csv"]
        link = WorkSessionHistory.objects.get()
        said_there = dict(zip(head, row, strict=True))
        assert {name: said_there[name] for name in ("previous", "digest")} == {
            "previous": bytes(link.previous).hex(),
            "digest": bytes(link.digest).hex(),
        }
        # Nothing of a change is left out.
        assert set(head) == {field.attname for field in WorkSessionHistory._meta.concrete_fields} - {"id"}
        said["code"] = code_of(platform, f"/platform/support/{suspended.pk}/archive.zip")
        assert errors(platform.post(at(suspended, "close"), {**said, "name": "青空"})) == {
            ja("This is not the name of this company.")
        }
        assert told(platform, platform.post(at(suspended, "close"), said)) == ja(
            "%(name)s is closed.", name="青空商店"
        )
        suspended.refresh_from_db()
        assert suspended.status == TenantStatus.CLOSED
        assert not Client().login(email=employee.email, password=PASSWORD)
        for change in (
            lambda: WorkSession.objects.create(user=employee, start_time=japan("2026-11-03 09:00")),
            lambda: WorkSession.objects.update(end_time=japan("2026-11-02 18:00")),
            lambda: WorkSession.objects.all()._raw_delete("default"),
        ):
            with pytest.raises(IntegrityError, match="closed"), transaction.atomic():
                change()
        with pytest.raises(Exception, match="a closed tenant is not deleted"), transaction.atomic():
            Tenant.objects.filter(pk=suspended.pk)._raw_delete("default")
        # Its records are read through an access still.
        month = platform.get(f"/platform/support/{suspended.pk}/?month=2026-11")
        assert "佐藤 花子" in month.content.decode()
        assert ("tenants.update", "解約") in kinds(suspended)

    def test_not_with_an_archive_that_nobody_received(
        self, platform: Client, suspended: Tenant, access: SupportAccess
    ) -> None:
        """As when the connection breaks, or the file is too large to be handed over: its event is there."""
        url = f"/platform/support/{suspended.pk}/archive.zip"
        older = code_of(platform, url)
        archive_of(platform, url)
        said = {"reason": "解約のため", "name": "青空商店"}
        for code, told_so in (
            ("", "Please type the code: it shows that the archive arrived."),
            (
                older,
                "This is not the closing code of the newest archive. "
                "Please download it once more if you do not have it.",
            ),
        ):
            answer = platform.post(at(suspended, "close"), {**said, "code": code})
            assert answer.status_code == 200
            page = Page(answer)
            assert page.text(".//div[@id='id_code_error']") == ja(told_so)
            assert "解約のため" in page.html
            assert url in page.html  # to be downloaded once more
        suspended.refresh_from_db()
        assert suspended.status == TenantStatus.SUSPENDED
        newest = code_of(platform, url)
        assert newest not in json.dumps([event.after for event in AuditEvent.objects.all()])
        # In capitals, by a Japanese input method.
        wide = {ord("-"): "－"} | {n: n + 0xFEE0 for n in range(ord("0"), ord("Z") + 1)}
        typed = f" {newest.upper().translate(wide)}　"
        assert platform.post(at(suspended, "close"), {**said, "code": typed}).status_code == 303
        suspended.refresh_from_db()
        assert suspended.status == TenantStatus.CLOSED

    def test_not_with_an_archive_from_before_the_last_change(
        self, platform: Client, suspended: Tenant, access: SupportAccess
    ) -> None:
        code = code_of(platform, f"/platform/support/{suspended.pk}/archive.zip")
        WorkSession.objects.update(end_time=japan("2026-11-02 18:00"))
        answer = platform.post(at(suspended, "close"), {"reason": "x", "name": "青空商店", "code": code})
        assert answer.status_code == 200
        suspended.refresh_from_db()
        assert suspended.status == TenantStatus.SUSPENDED

    def test_an_archive_of_the_tenants_own_admin_does(
        self, platform: Client, tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_session("2026-11-02 09:00", "2026-11-02 17:30")
        desk = Client()
        desk.force_login(make_user(role=Role.TENANT_ADMIN))
        assert len(archive_of(desk, "/admin/archive.zip")["work_sessions.csv"]) == 2
        code = code_of(desk, "/admin/archive.zip")
        platform.post(at(tenant, "suspend"), {"reason": "x"})
        said = {"reason": "x", "name": "青空商店", "code": code}
        assert platform.post(at(tenant, "close"), said).status_code == 303
        tenant.refresh_from_db()
        assert tenant.status == TenantStatus.CLOSED

    def test_one_that_is_active_is_suspended_first(self, platform: Client, tenant: Tenant) -> None:
        assert "close" not in platform.get(at(tenant)).content.decode()
        assert platform.post(at(tenant, "close"), {"reason": "x", "name": "青空商店"}).status_code == 303
        tenant.refresh_from_db()
        assert tenant.status == TenantStatus.ACTIVE

    def test_reopening_makes_it_a_suspended_one(self, platform: Client, tenant: Tenant) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.CLOSED)
        assert platform.post(at(tenant, "reopen"), {"reason": "戻る"}).status_code == 303
        tenant.refresh_from_db()
        assert tenant.status == TenantStatus.SUSPENDED


class TestTheTenantsPage:
    def test_what_it_says_costs_the_same_with_many(
        self, platform: Client, tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_user(role=Role.TENANT_ADMIN, email="boss@example.com")
        numbers = []
        for day in (2, 3):
            for n in range(1 if day == 2 else 20):
                user = make_user()
                make_session(f"2026-11-0{day} 09:{n:02}", f"2026-11-0{day} 17:00", user=user)
            with CaptureQueriesContext(connection) as found:
                page = Page(platform.get(at(tenant)))
            numbers.append(len(found))
        assert numbers[0] == numbers[1]
        assert "boss@example.com" in page.html
        assert "employee3@example.com" not in page.html
        facts = dict(
            zip(map(text_of, page.all(".//dl/div/dt")), map(text_of, page.all(".//dl/div/dd")), strict=True)
        )
        assert facts["勤務記録"] == "21"
        # The day says enough of the customer, and nothing of who came when.
        assert facts[ja("First clock-in")] == "2026/11/02"
        assert facts[ja("Last punch")] == "2026/11/03"
        assert facts[ja("Last activity")] == "2026/11/03 17:00"

    def test_sessions_that_a_suspension_ended_are_not_counted(
        self, platform: Client, employee_client: Client, tenant: Tenant
    ) -> None:
        def signed_in() -> str:
            page = Page(platform.get(at(tenant)))
            names, values = page.all(".//dl/div/dt"), page.all(".//dl/div/dd")
            return dict(zip(map(text_of, names), map(text_of, values), strict=True))[
                ja("Signed in on devices")
            ]

        assert signed_in() == "1"
        platform.post(at(tenant, "suspend"), {"reason": "未払い"})
        assert signed_in() == "0"

    @pytest.mark.parametrize("page", ["change", "quarantine", "suspend", "history"])
    def test_there_is_none_of_another_id(self, platform: Client, page: str) -> None:
        assert platform.get(f"/platform/tenants/tenant/99999/{page}/").status_code == 404


def test_the_way_there(platform: Client, employee_client: Client) -> None:
    """Who operates the service has no time to record: the clock's address leads to the tenants."""
    assert platform.get("/")["Location"] == "/platform/"
    assert ja("To the tenants") in platform.get("/account").content.decode()
    assert "/platform/" not in employee_client.get("/").content.decode()


def test_who_operates_the_service_now_still_reads_what_they_once_recorded(
    platform: Client, operator: User, make_session: MakeSession
) -> None:
    make_session("2026-11-02 09:00", "2026-11-02 17:30", user=operator)
    assert "17:30" in Page(platform.get("/")).html
