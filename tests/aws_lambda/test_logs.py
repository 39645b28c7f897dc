"""What the real runtime client writes: JSON lines, with ids and nothing else of people."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from tests.aws_lambda.conftest import WEB, database_url, deployed, function
from tests.aws_lambda.runtime import SOURCE, Browser, Function
from tests.conftest import PASSWORD, MakeUser

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = "hanako.sato@example.com"
TOKEN = "T0ken-that-opens-an-account"
PERSONAL = (EMAIL, "hanako.sato", "佐藤", "花子", "\\u4f50\\u85e4", PASSWORD, SOURCE, TOKEN, "Mozilla")


@pytest.fixture
def web(static_root: Path, django_db_setup: None, tmp_path: Path) -> Iterator[Function]:
    with function(WEB, tmp_path / "log", {**deployed(static_root), "DATABASE_URL": database_url()}) as found:
        yield found


@pytest.fixture
def person(make_user: MakeUser) -> User:
    return make_user(email=EMAIL)


def requests(web: Function) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in web.lines()]
    return [line for line in lines if line["logger"] == "timerecord.requests"]


def sign_in(web: Function, password: str = PASSWORD) -> Browser:
    browser = Browser(web)
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": EMAIL, "password": password})
    return browser


def test_a_line_for_each_request(web: Function, person: User) -> None:
    browser = sign_in(web)
    browser.get("/")
    browser.get(f"/password/reset/{TOKEN}?email={EMAIL}")
    browser.get("/nowhere")
    found = requests(web)
    said = [(line["method"], line["route"], line["status"], line.get("user")) for line in found]
    assert said[:3] == [
        ("GET", "/sign-in", 200, None),
        ("POST", "/sign-in", 302, person.pk),
        ("GET", "/", 200, person.pk),
    ]
    assert said[-1] == ("GET", "(none)", 404, None)
    assert [line.get("tenant") for line in found[:3]] == [None, person.tenant_id, person.tenant_id]
    for line in found:
        assert line["level"] == "INFO"
        assert re.fullmatch(r"[0-9a-f-]{36}", line["requestId"])
        assert 0 < line["milliseconds"] < 60_000
    assert len({line["requestId"] for line in found}) == len(found)


def test_one_that_is_out_of_time_has_its_route(web: Function, person: User) -> None:
    sign_in(web).get("/slow?at=python", seconds=3.5)
    assert [(line["route"], line["status"]) for line in requests(web)][-1] == ("/slow", 503)


def test_nothing_of_people_but_their_ids(web: Function, person: User) -> None:
    """All that may leave a line with what somebody typed, or what PostgreSQL quotes of a row."""
    browser = sign_in(web, "a wrong passphrase of hanako.sato")
    browser = sign_in(web)
    browser.get(f"/{TOKEN}/{EMAIL}")  # 404
    browser.get(f"/password/reset/{TOKEN}")
    browser.get(f"/invitation/{TOKEN}")
    browser.get("/", host="evil.example")  # 400
    assert browser.get(f"/failing/{TOKEN}").status == 500
    assert browser.get("/taken").status == 500
    browser.page = ""
    assert browser.post("/account/name", {"last_name": "佐藤", "email": EMAIL}).status == 403
    browser.post("/sign-in", {"email": f"{EMAIL}\x00"})
    lines = web.lines()
    text = "\n".join(lines)
    # Each of them did leave a line.
    for trace in (
        "ZeroDivisionError",
        "RuntimeError",
        "django.security.DisallowedHost",
        "Forbidden",
        "Not Found",
    ):
        assert trace in text, trace
    assert {said: [line for line in lines if said in line] for said in PERSONAL if said in text} == {}


def test_every_line_is_json(web: Function, person: User) -> None:
    sign_in(web).get("/failing/x")
    lines = [json.loads(line) for line in web.lines()]
    assert {"timestamp", "level", "message", "logger", "requestId"} <= set.intersection(*map(set, lines))
