"""Bringing people in from a file: what is read, what is said of each row, and what is stored."""

import base64
import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile, UploadedFile
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import errands, people_admin, people_forms, tokens
from accounts.account_actions import request_reset
from accounts.account_forms import NO_MAIL
from accounts.models import Errand, Role, User
from accounts.people_admin import FILES_A_DAY, FILES_AN_HOUR, MAX_PASSWORDS
from accounts.people_forms import TAKEN_BY_SOMEBODY
from accounts.people_import import MAX_ROWS
from tenants.models import Tenant
from tests.accounts.test_mail import DOWN
from tests.accounts.test_people_admin import FIRST_PASSWORD, can_sign_in, errors
from tests.accounts.test_registration import english
from tests.conftest import MakeUser
from tests.html import Page, ja, text_of

UNREADABLE = (
    "This file cannot be read. Please save the list as CSV (UTF-8 or Shift_JIS) and choose that file."
)
IMPORT, LIST = "/admin/accounts/user/import/", "/admin/accounts/user/"
GOOD = "姓,名,メールアドレス,権限\n佐藤,花子,Hanako@example.com,\n鈴木,太郎,taro@example.com,管理者\n"


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(dt.datetime.now(dt.UTC), tick=False) as traveller:
        yield traveller


def send(desk: Client, text: str | bytes, encoding: str = "utf-8") -> HttpResponse:
    content = text if isinstance(text, bytes) else text.encode(encoding)
    response = desk.post(IMPORT, {"file": SimpleUploadedFile("people.csv", content)})
    assert isinstance(response, HttpResponse)
    assert response.status_code == 200
    return response


def shown(response: HttpResponse) -> list[list[str]]:
    return [[text_of(cell) for cell in row] for row in Page(response).all(".//tbody/tr")]


def payload(response: HttpResponse) -> str:
    field = Page(response).root.find(".//input[@name='rows']")
    assert field is not None
    return field.get("value", "")


def confirm(desk: Client, preview: HttpResponse, way: str) -> HttpResponse:
    response = desk.post(IMPORT, {"rows": payload(preview), "way": way})
    assert isinstance(response, HttpResponse)
    return response


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
@pytest.mark.parametrize(
    "heading",
    [
        "姓,名,メールアドレス,権限",
        "Last name,First-name,E-MAIL,Role",
        "ＥＭＡＩＬ,役割,苗字,名前",
        "姓\t名\tメール\t権限",
        "備考;姓;名;メール;権限",
    ],
)
def test_files_as_spreadsheets_write_them(desk: Client, heading: str, encoding: str) -> None:
    delimiter = max(",\t;", key=heading.count)
    order = {
        "姓": "佐藤",
        "苗字": "佐藤",
        "Last name": "佐藤",
        "名": "花子",
        "名前": "花子",
        "First-name": "花子",
    }
    cells = [
        order.get(name) or {"備考": "x", "権限": "", "役割": "", "Role": ""}.get(name, "Hanako@Example.com")
        for name in heading.split(delimiter)
    ]
    response = send(desk, f"{heading}\r\n{delimiter.join(cells)}\r\n\r\n", encoding)
    assert shown(response) == [["2", "佐藤 花子", "hanako@example.com", "従業員"]]
    assert User.objects.count() == 1  # nobody but the admin


def test_each_row_says_what_is_wrong_and_nothing_is_offered(
    desk: Client, make_user: MakeUser, other_tenant: Tenant
) -> None:
    make_user(email="here@example.com", last_name="田中", first_name="健太")
    make_user(email="there@example.com", tenant=other_tenant, last_name="他社")
    response = send(
        desk,
        "姓,名,メールアドレス,権限\n"
        "良い,人,good@example.com,\n"
        "二,重,here@example.com,\n"
        "他,社,there@example.com,\n"
        ",,x,社長\n"
        "又,良い,GOOD@example.com,\n"
        "短い\n",
    )
    assert shown(response) == [
        ["3", "二 重", "here@example.com", ja("%(name)s has this e-mail address already.", name="田中 健太")],
        ["4", "他 社", "there@example.com", ja(english(TAKEN_BY_SOMEBODY))],
        [
            "5",
            "–",
            "x",
            "".join(
                [
                    ja("Please enter your family name."),
                    ja("Please enter your given name."),
                    ja("This is no e-mail address. Please check it."),
                    ja(
                        "“%(role)s” is no role: leave it empty, or write employee or admin.",
                        role="社長",
                    ),
                ]
            ),
        ],
        ["6", "又 良い", "good@example.com", ja("Row %(number)s has the same e-mail address.", number="2")],
        ["7", "短い", "", f"{ja('Please enter your given name.')}{ja('Please enter your e-mail address.')}"],
    ]
    assert "他社" not in response.content.decode()
    assert Page(response).root.find(".//input[@name='rows']") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "This file is empty."),
        (
            "姓,名,メールアドレス\n",
            "There is nobody in this file: below the headings, each row is one person.",
        ),
        (
            "佐藤,花子,hanako@example.com\n",
            "The first row has to name the columns: family name, given name, e-mail, and role if you like.",
        ),
        (
            GOOD.encode("utf-16"),
            UNREADABLE,
        ),
        (
            b"PK\x03\x04\x14\x00\x00\x08\xff\xff\x00",
            UNREADABLE,
        ),
        (
            '姓,名,メールアドレス\n"佐藤,花子,x@example.com\n',
            "This is no CSV file. Please save the list as CSV and choose that file.",
        ),
        (b"\n" * 1_000_001, "This file is too large for a list of people: 1 MB are possible."),
    ],
    ids=["empty", "nobody", "no headings", "UTF-16", "a workbook", "an open quote", "too large"],
)
def test_what_is_no_such_file(desk: Client, content: str | bytes, said: str) -> None:
    assert errors(send(desk, content))["file"] == [ja(said)]


def test_more_people_than_are_possible_at_once(desk: Client) -> None:
    text = "姓,名,メール\n" + "".join(f"佐藤,花子,{n}@example.com\n" for n in range(MAX_ROWS + 1))
    assert "1,000人を超える" in errors(send(desk, text))["file"][0]


def test_links_by_mail_are_sent_once_all_is_stored(
    desk: Client, tenant: Tenant, mailoutbox: list[EmailMessage]
) -> None:
    response = confirm(desk, send(desk, GOOD), "mail")
    assert (response.status_code, response["Location"]) == (303, LIST)
    hanako, taro = User.objects.exclude(email="admin@example.com").order_by("email")
    assert [(u.email, u.tenant, u.role) for u in (hanako, taro)] == [
        ("hanako@example.com", tenant, Role.EMPLOYEE),
        ("taro@example.com", tenant, Role.TENANT_ADMIN),
    ]
    assert sorted(message.to[0] for message in mailoutbox) == [hanako.email, taro.email]
    (link,) = re.findall(r"http://localhost:8000(/invitation/\S+)", str(mailoutbox[0].body))
    newcomer = Client()
    newcomer.get(link)
    assert newcomer.get("/invitation").status_code == 200


def test_first_passwords_are_shown_once_as_a_list_and_a_file(
    desk: Client, mailoutbox: list[EmailMessage]
) -> None:
    response = confirm(desk, send(desk, GOOD), "password")
    assert "no-store" in response["Cache-Control"]
    table = {row[1]: row[2] for row in shown(response)}
    assert list(table) == ["hanako@example.com", "taro@example.com"]
    for email, password in table.items():
        assert FIRST_PASSWORD.fullmatch(password)
        assert can_sign_in(email, password)
    link = Page(response).root.find(".//a[@download]")
    assert link is not None
    kind, _comma, data = link.get("href", "").partition(",")
    assert kind == "data:text/csv;base64"
    lines = list(csv.reader(io.StringIO(base64.b64decode(data).decode("utf-8-sig"), newline="")))
    assert lines[1][:3] == ["佐藤 花子", "hanako@example.com", table["hanako@example.com"]]
    assert mailoutbox == []


def test_as_many_first_passwords_as_a_request_has_time_for(desk: Client) -> None:
    text = "姓,名,メール\n" + "".join(f"佐藤,花子,{n}@example.com\n" for n in range(MAX_PASSWORDS + 1))
    response = confirm(desk, send(desk, text), "password")
    assert list(errors(response)) == ["way"]
    assert User.objects.count() == 1


def test_what_fails_with_one_keeps_nobody_else_back(
    desk: Client,
    monkeypatch: pytest.MonkeyPatch,
    mailoutbox: list[EmailMessage],
) -> None:
    issue = tokens.issue

    def not_for_the_second(user_id: int, *args: Any, **kwargs: Any) -> str:
        if User.objects.in_scope().get(pk=user_id).first_name == "2":
            raise RuntimeError("the store of tokens is out of reach")
        return issue(user_id, *args, **kwargs)

    monkeypatch.setattr(tokens, "issue", not_for_the_second)  # which no real store does for one alone
    lines = "".join(f"森,{n},mori{n}@example.com\n" for n in range(1, 5))
    response = send(desk, "姓,名,メールアドレス\n" + lines)
    confirm(desk, response, "mail")
    assert sorted(message.to for message in mailoutbox) == [[f"mori{n}@example.com"] for n in (1, 3, 4)]


class TestWhereNothingLivesOnAfterAnAnswer:
    """As on Lambda: what is done after the answer would take the time that the request has."""

    @pytest.fixture(autouse=True)
    def nothing_after(self, settings: Settings) -> None:
        settings.ERRANDS_AFTER_ANSWER = False

    def test_housekeeping_mails_the_links(
        self, desk: Client, mailoutbox: list[EmailMessage], now: time_machine.Traveller
    ) -> None:
        assert confirm(desk, send(desk, GOOD), "mail").status_code == 303
        assert mailoutbox == []
        call_command("housekeeping")
        assert [message.to for message in mailoutbox] == [["hanako@example.com"], ["taro@example.com"]]
        (link,) = re.findall(r"http://localhost:8000(/invitation/\S+)", str(mailoutbox[0].body))
        newcomer = Client()
        newcomer.get(link)
        assert newcomer.get("/invitation").status_code == 200
        call_command("housekeeping")
        assert len(mailoutbox) == 2

    def test_what_fails_with_one_keeps_nobody_else_back_and_is_tried_again(
        self,
        desk: Client,
        settings: Settings,
        mailoutbox: list[EmailMessage],
        now: time_machine.Traveller,
    ) -> None:
        works = settings.EMAIL_BACKEND
        confirm(desk, send(desk, GOOD), "mail")
        settings.EMAIL_BACKEND = DOWN
        assert errands.do_waiting(1) == 1
        settings.EMAIL_BACKEND = works
        call_command("housekeeping")
        assert [message.to for message in mailoutbox] == [["taro@example.com"]]
        now.shift(errands.FIRST_PAUSE)
        call_command("housekeeping")
        assert [message.to for message in mailoutbox] == [["taro@example.com"], ["hanako@example.com"]]

    def test_who_needs_no_link_any_more_gets_none(
        self, desk: Client, mailoutbox: list[EmailMessage], now: time_machine.Traveller
    ) -> None:
        confirm(desk, send(desk, GOOD), "mail")
        hanako = User.objects.get(email="hanako@example.com")
        hanako.set_password("chosen meanwhile, at the desk")
        hanako.save()
        call_command("housekeeping")
        assert [message.to for message in mailoutbox] == [["taro@example.com"]]

    def test_a_link_that_is_good_for_minutes_goes_before_them(
        self, desk: Client, make_user: MakeUser, mailoutbox: list[EmailMessage], now: time_machine.Traveller
    ) -> None:
        confirm(desk, send(desk, GOOD), "mail")
        now.shift(dt.timedelta(seconds=1))
        request_reset(make_user(email="forgetful@example.com").email, "203.0.113.7", language="ja")
        call_command("housekeeping")
        assert mailoutbox[0].to == ["forgetful@example.com"]
        assert len(mailoutbox) == 3

    def test_a_large_file_costs_as_many_statements_as_a_small_one(
        self, desk: Client, mailoutbox: list[EmailMessage]
    ) -> None:
        counts = []
        confirm(desk, send(desk, "姓,名,メールアドレス\n森,零,first@example.com\n"), "mail")
        for size, name in ((3, "few"), (60, "many")):
            lines = "".join(f"森,{n},{name}{n}@example.com\n" for n in range(size))
            preview = send(desk, "姓,名,メールアドレス\n" + lines)
            with CaptureQueriesContext(connection) as queries:
                assert confirm(desk, preview, "mail").status_code == 303
            counts.append(len(queries))
        assert counts[0] == counts[1]
        assert Errand.objects.count() == 64
        assert mailoutbox == []


def test_nobody_asks_for_strangers_without_end(desk: Client, make_user: MakeUser) -> None:
    """A preview tells which addresses are other tenants': so many files, of all admins together too."""
    file = "姓,名,メールアドレス\n森,桜子,sakurako@example.com\n"
    for _ in range(FILES_AN_HOUR):
        assert "sakurako@example.com" in Page(send(desk, file)).html
    refused = Page(send(desk, file))
    assert "sakurako@example.com" not in refused.html
    assert any("分後" in text_of(e) for e in refused.root.iter("p"))
    others = 0
    while others < FILES_A_DAY:
        colleague = Client()
        colleague.force_login(make_user(role=Role.TENANT_ADMIN))
        for _ in range(FILES_AN_HOUR):
            if "sakurako@example.com" not in Page(send(colleague, file)).html:
                assert others == FILES_A_DAY - FILES_AN_HOUR
                return
            others += 1
    pytest.fail("all files were looked at")


def test_so_many_invitations_a_day(
    desk: Client, monkeypatch: pytest.MonkeyPatch, mailoutbox: list[EmailMessage]
) -> None:
    monkeypatch.setattr(people_admin, "INVITATIONS_A_DAY", 3)
    two = "".join(f"森,{n},mori{n}@example.com\n" for n in range(2))
    first, second = (send(desk, "姓,名,メールアドレス\n" + two.replace("mori", name)) for name in ("a", "b"))
    assert confirm(desk, first, "mail").status_code == 303
    refused = confirm(desk, second, "mail")
    assert refused.status_code == 200
    assert "3" in Page(refused).text(".//div[@id='id_way_error']")
    assert not User.objects.filter(email="b0@example.com").exists()
    given = {"last_name": "森", "first_name": "桜子", "role": "employee", "way": "mail"}
    desk.post("/admin/accounts/user/add/", {**given, "email": "c@example.com"})
    assert (
        "id_way_error"
        in desk.post("/admin/accounts/user/add/", {**given, "email": "d@example.com"}).content.decode()
    )
    assert not User.objects.filter(email="d@example.com").exists()


def test_a_large_file_is_not_read(desk: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: UploadedFile, *_size: int) -> bytes:
        pytest.fail("it was read")

    monkeypatch.setattr(people_forms, "MAX_FILE_BYTES", 10)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = (
        0  # the server's own kind of file, which the test's browser has not
    )
    monkeypatch.setattr(TemporaryUploadedFile, "read", read)
    page = Page(send(desk, "姓,名,メールアドレス\n森,桜子,sakurako@example.com\n"))
    assert ja("This file is too large for a list of people: 1 MB are possible.") in page.html


def test_who_came_meanwhile_stops_all_of_it(desk: Client, make_user: MakeUser) -> None:
    preview = send(desk, GOOD)
    make_user(email="taro@example.com", last_name="鈴木", first_name="太郎")
    response = confirm(desk, preview, "password")
    assert shown(response)[0][:3] == ["3", "鈴木 太郎", "taro@example.com"]
    assert User.objects.count() == 2


def test_while_no_mail_can_be_sent_nobody_is_stored(desk: Client, settings: Settings) -> None:
    preview = send(desk, GOOD)
    settings.EMAIL_BACKEND = DOWN
    response = confirm(desk, preview, "mail")
    assert ja(english(NO_MAIL)) in response.content.decode()
    assert User.objects.count() == 1


def test_what_was_not_shown_before_is_not_stored(desk: Client, make_user: MakeUser) -> None:
    """Neither what somebody made up, nor what another admin was shown."""
    other = Client()
    other.force_login(make_user(role=Role.TENANT_ADMIN))
    for rows in ("made up", payload(send(other, GOOD))):
        response = desk.post(IMPORT, {"rows": rows, "way": "password"}, follow=True)
        assert Page(response).messages == [
            ja("This page was open for too long. Please choose the file again.")
        ]
    assert User.objects.count() == 2


def test_an_export_can_be_read_again(desk: Client, make_user: MakeUser) -> None:
    user = make_user(last_name="=佐藤", first_name="花子", email="hanako@example.com", role=Role.TENANT_ADMIN)
    exported = desk.get("/admin/accounts/user/export.csv?q=hanako").content
    User.objects.filter(pk=user.pk).delete()
    assert shown(send(desk, exported)) == [["2", "=佐藤 花子", "hanako@example.com", "テナント管理者"]]
