"""Every state that an account can be in, at every door: who gets in, and what the others find."""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import tokens
from accounts.models import Role, RoleCode, User, UserStatus
from accounts.tokens import Purpose
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_registration import CODE, REGISTER, errors, given
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page
from timerecord.core import clock

NEW = "川沿いの道を自転車で走る"
CLOCK, TENANTS, ACCOUNT, CHANGE, SIGN_IN = "/", "/platform/", "/account", "/password/change", "/sign-in"


@dataclasses.dataclass(frozen=True)
class State:
    """How an account is, and what each door does for it."""

    fields: dict[str, object] = dataclasses.field(default_factory=dict)
    tenant_suspended: bool = False
    signs_in: bool = True
    # Where the clock's address ends for somebody whose session is from before.
    home: str = CLOCK
    mailed_a_link: bool = True
    # A link from before the account came into this state.
    resets: bool = True
    told_of_a_new_address: bool = True

    @property
    def is_let_in(self) -> bool:
        """Whether a session from before leads to pages, not to a question first."""
        return self.home in (CLOCK, TENANTS)


LATER = dt.timedelta(minutes=15)
OUT = State(signs_in=False, home=SIGN_IN, mailed_a_link=False, resets=False)
STATES = {
    "active": State(),
    "suspended": dataclasses.replace(OUT, fields={"status": UserStatus.SUSPENDED}),
    # Its sessions go on: whoever guesses passwords must not be able to sign its owner out.
    "locked": State(fields={"locked_until": LATER, "failed_attempts": 5}, signs_in=False),
    "lock has ended": State(fields={"locked_until": -LATER, "failed_attempts": 5}),
    "must change": State(fields={"must_change_password": True}, home=CHANGE),
    "placeholder mail": State(
        fields={"email": "7@placeholder.local"}, mailed_a_link=False, told_of_a_new_address=False
    ),
    "no tenant": State(fields={"tenant": None}),
    "platform admin": State(fields={"tenant": None, "role": Role.PLATFORM_ADMIN}, home=TENANTS),
    "tenant suspended": dataclasses.replace(OUT, tenant_suspended=True),
}
every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES)

Become = Callable[[State], User]


@pytest.fixture
def become(make_user: MakeUser, other_tenant: Tenant) -> Become:
    """Make an account in a state."""

    def make(state: State) -> User:
        fields = {"tenant": other_tenant, **state.fields}
        if isinstance(shift := fields.get("locked_until"), dt.timedelta):
            fields["locked_until"] = clock.now() + shift
        user = make_user(**fields)
        if state.tenant_suspended:
            Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        return user

    return make


def sign_in(user: User, password: str = PASSWORD) -> Client | None:
    """Return the browser in which it worked."""
    client = Client()
    response = client.post(SIGN_IN, {"email": user.email, "password": password})
    return client if response.status_code == 302 else None


@every_state
def test_signing_in(become: Become, state: State) -> None:
    client = sign_in(become(state))
    assert (client is not None) is state.signs_in
    if client:
        response = client.get(CLOCK, follow=True)
        assert response.request["PATH_INFO"] == state.home


@every_state
def test_a_session_from_before(become: Become, state: State, make_user: MakeUser) -> None:
    client = Client()
    client.force_login(become(state))
    response = client.get(CLOCK, follow=True)
    assert response.request["PATH_INFO"] == state.home


@every_state
def test_registering_with_the_address(become: Become, state: State, tenant: Tenant) -> None:
    user = become(state)
    RoleCode.objects.create(tenant=tenant, code=CODE)
    response = Client().post(REGISTER, given(email=user.email))
    assert response.status_code == 200
    ((field, _told),) = errors(Page(response)).items()
    assert field == "email"
    assert RoleCode.objects.get().usage_count == 0


@every_state
def test_a_forgotten_password(
    become: Become,
    state: State,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    user = become(state)
    with django_capture_on_commit_callbacks(execute=True):
        response = Client().post("/password/forgot", {"email": user.email})
    assert (response.status_code, response["Location"]) == (303, "/password/forgot/sent")
    assert [message.to for message in mailoutbox] == [[user.email]] * state.mailed_a_link


@every_state
def test_a_link_from_before(become: Become, state: State) -> None:
    user = become(state)
    token = tokens.issue(user.pk, Purpose.RESET, 600)
    client = Client()
    client.get(f"/password/reset/{token}")
    response = client.post("/password/reset", {"new_password": NEW})
    assert response.status_code == (303 if state.resets else 200)
    client_after = sign_in(user, NEW)
    assert (client_after is not None) is state.resets
    if client_after:
        assert client_after.get(ACCOUNT).status_code == 200  # neither locked nor to change it again


@every_state
def test_the_own_account(become: Become, state: State) -> None:
    """Whoever is let in gets to all of it; whoever does not, to none."""
    user = become(state)
    client = Client()
    client.force_login(user)
    for path in ("/account", "/account/name", "/account/email"):
        response = client.get(path, follow=True)
        assert response.request["PATH_INFO"] == (path if state.is_let_in else state.home)
    client.post("/account/name", {"last_name": "高橋", "first_name": "花子"})
    user.refresh_from_db()
    assert (user.last_name == "高橋") is state.is_let_in


@every_state
def test_changing_the_password(become: Become, state: State) -> None:
    user = become(state)
    client = Client()
    client.force_login(user)
    client.post(CHANGE, {"current_password": PASSWORD, "new_password": NEW})
    user.refresh_from_db()
    gets_in = state.home != SIGN_IN
    assert user.check_password(NEW) is gets_in
    assert (client.get(ACCOUNT).status_code == 200) is gets_in


@every_state
def test_changing_the_address(
    become: Become,
    state: State,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    user = become(state)
    old, new = user.email, "hanako@example.net"
    client = Client()
    client.force_login(user)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/account/email", {"email": new, "current_password": PASSWORD})
    if not state.is_let_in:
        assert mailoutbox == []
        return
    (code,) = re.findall(r"^\d{6}$", str(mailoutbox[0].body), re.MULTILINE)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/account/email/confirm", {"code": code})
    user.refresh_from_db()
    assert user.email == new
    assert [message.to for message in mailoutbox] == [[new], *[[old]] * state.told_of_a_new_address]


@every_state
def test_signing_out_everywhere(become: Become, state: State) -> None:
    user = become(state)
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.force_login(user)
    here.post("/account/sign-out-everywhere")
    user.refresh_from_db()
    assert (user.session_epoch == 1) is state.is_let_in
    if state.is_let_in:
        assert elsewhere.get(ACCOUNT).status_code == 302
