"""Every URL of the project is for people who signed in, unless it is listed here."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

# Open to anybody, and what a stranger's GET and POST get there.
OPEN = {
    "accounts:sign_in": (200, 200),
    "accounts:sign_out": (405, 302),
    "accounts:register": (200, 200),
    "accounts:password_forgot": (200, 200),
    "accounts:password_forgot_sent": (200, 405),
    "accounts:password_reset": (200, 200),
    "accounts:password_reset_link": (302, 405),
    "accounts:invitation": (200, 200),
    "accounts:invitation_link": (302, 405),
    "set_language": (302, 302),
    "alive": (200, 405),
    "ready": (200, 405),
}
# As text, what the shape of a reset token asks for too.
EXAMPLES = {
    "int": 1,
    "str": "x" * 43,
    "slug": "x",
    "path": "x/y",
    "uuid": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
}


def patterns(
    resolver: URLResolver, prefix: str = "/", namespaces: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the name and an example path of every URL, those without a name too."""
    for entry in resolver.url_patterns:
        path = prefix + example(entry)
        if isinstance(entry, URLResolver):
            yield from patterns(
                entry, path, (*namespaces, entry.namespace) if entry.namespace else namespaces
            )
        else:
            yield ":".join((*namespaces, entry.name or path)), path


def example(entry: URLPattern | URLResolver) -> str:
    """Return the entry's route with an example for each of its variables."""
    assert isinstance(entry.pattern, RoutePattern), "a regular expression needs an example of its own"
    route = str(entry.pattern)
    for name, converter in entry.pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower()
        kind = {"string": "str"}.get(kind, kind)
        for written in (f"<{kind}:{name}>", f"<{name}>"):
            route = route.replace(written, str(EXAMPLES[kind]))
    assert "<" not in route
    return route


URLS = dict(patterns(get_resolver()))


def test_the_list_is_of_urls_that_there_are() -> None:
    assert set(OPEN) <= set(URLS)
    assert {"attendance:home", "attendance:clock_in", "attendance:clock_out"} <= set(URLS)


@pytest.mark.parametrize("name", sorted(set(URLS) - set(OPEN)))
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_stranger_is_led_to_the_sign_in(client: Client, db: None, name: str, method: str) -> None:
    response = getattr(client, method)(URLS[name])
    assert (response.status_code, response["Location"]) == (302, f"/sign-in?next={URLS[name]}")


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open(client: Client, db: None, name: str) -> None:
    answers = client.get(URLS[name]), client.post(URLS[name])
    assert tuple(answer.status_code for answer in answers) == OPEN[name]
    assert [answer for answer in answers if "next=" in answer.get("Location", "")] == []


OFFICE = {name for name, path in URLS.items() if path.startswith(("/admin/", "/platform/"))}


@pytest.mark.parametrize("name", sorted(set(URLS) - OFFICE - {"attendance:home"}))
def test_each_page_has_one_address_without_a_slash_at_its_end(employee_client: Client, name: str) -> None:
    assert not URLS[name].endswith("/")
    assert employee_client.get(f"{URLS[name]}/").status_code == 404


@pytest.mark.parametrize("name", sorted(OFFICE))
def test_each_page_of_the_admin_ends_with_a_slash_and_each_file_with_its_kind(name: str) -> None:
    assert URLS[name].endswith(("/", ".svg", ".png", ".csv", ".xlsx", ".zip"))


@pytest.mark.parametrize(
    "address",
    ["/static/css/timerecord.css", "/static/js/clock.js", "/static/js/forms.js", "/static/img/icon.svg"],
)
def test_files_for_the_browser_are_open(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200
    assert len(b"".join(response)) > 100


@pytest.mark.parametrize(
    "address", ["/static/../manage.py", "/static/%2e%2e/manage.py", "/static/", "/manage.py"]
)
def test_other_files_are_not(client: Client, db: None, address: str) -> None:
    assert client.get(address).status_code == 404
