"""Every page in every state that it has, for the tests that hold for all of them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import time_machine
from playwright.sync_api import FilePayload

from accounts import tokens
from accounts.models import Role, RoleCode, ThrottleCounter, User, UserStatus
from accounts.registration_views import RESETS_PER_NETWORK
from accounts.tokens import Purpose
from tenants.models import Tenant
from tests.browser.person import Person
from tests.conftest import MakeSession, MakeUser
from timerecord.core import clock

Visit = Callable[..., Person]

LONG_NAME = "Wolfeschlegelsteinhausenbergerdorff" * 4


@dataclass(frozen=True)
class Stage:
    """What a page is made of: people, their work sessions, the server's clock, a browser for each."""

    visit: Visit
    make_user: MakeUser
    make_session: MakeSession
    clock: time_machine.Traveller

    def show(self, name: str, **options: Any) -> Person:
        """Open one of the PAGES in a browser with these options."""
        return PAGES[name](replace(self, visit=partial(self.visit, **options)))


def sign_in(stage: Stage) -> Person:
    return stage.visit().open("/sign-in")


def sign_in_refused(stage: Stage) -> Person:
    person = stage.visit().open("/sign-in")
    _send_sign_in(person, "nobody@example.com", "wrong")
    return person


def sign_in_incomplete(stage: Stage) -> Person:
    person = stage.visit().open("/sign-in")
    _send_sign_in(person, "", "")
    return person


def sign_in_with_a_punch_waiting(stage: Stage) -> Person:
    return stage.visit().open("/clock-in")


def home_without_records(stage: Stage) -> Person:
    return stage.visit(stage.make_user()).open()


def home_off_the_clock(stage: Stage) -> Person:
    return stage.visit(_with_history(stage)).open()


def home_at_work(stage: Stage) -> Person:
    user = _with_history(stage)
    stage.make_session("2026-11-20 08:31", user=user)
    return stage.visit(user).open()


def home_just_clocked_in(stage: Stage) -> Person:
    person = stage.visit(_with_history(stage)).open()
    person.punch()
    return person


def home_without_tenant(stage: Stage) -> Person:
    user = _with_history(stage)
    user.tenant = None
    user.save(update_fields=["tenant"])
    user.refresh_from_db()  # the move ended the sessions before it
    return stage.visit(user).open()


def home_with_extremes(stage: Stage) -> Person:
    """A name without spaces, a session of centuries, one of no length, one that runs for weeks."""
    user = stage.make_user(last_name=LONG_NAME, first_name=LONG_NAME)
    stage.make_session("1970-01-01 00:00", "2026-10-01 23:59", user=user)
    stage.make_session("2026-10-02 22:00", user=user, end_unknown=True)
    stage.make_session("2026-10-03 22:00", "2026-10-03 22:00", user=user)
    stage.make_session("2026-10-23 22:00", user=user)
    return stage.visit(user).open()


def question_too_early(stage: Stage) -> Person:
    person = home_just_clocked_in(stage)
    person.punch()
    return person


def question_again_so_soon(stage: Stage) -> Person:
    user = stage.make_user()
    stage.make_session("2026-11-20 08:31", "2026-11-20 09:02", user=user)
    return stage.visit(user).open("/clock-in")


def question_after_sign_in(stage: Stage) -> Person:
    user = _with_history(stage)
    stage.make_session("2026-11-19 22:00", user=user)
    return stage.visit(user).open("/clock-out")


def register(stage: Stage) -> Person:
    return stage.visit().open("/register?code=ABCD-EFGH-2345-6789")


def register_refused(stage: Stage) -> Person:
    """Everything in it is wrong."""
    person = stage.visit().open("/register")
    _send(person, code="ABCDEFGH01", last_name="", first_name="", email="x", password="12345678901")
    return person


def password_forgot(stage: Stage) -> Person:
    return stage.visit().open("/password/forgot")


def password_forgot_sent(stage: Stage) -> Person:
    return stage.visit().open("/password/forgot/sent")


def password_reset(stage: Stage) -> Person:
    token = tokens.issue(stage.make_user().pk, Purpose.RESET, 600)
    return stage.visit().open(f"/password/reset/{token}")


def password_reset_too_late(stage: Stage) -> Person:
    return stage.visit().open("/password/reset/guessed")


def password_change(stage: Stage) -> Person:
    return stage.visit(stage.make_user()).open("/password/change")


def password_change_at_first(stage: Stage) -> Person:
    """Whoever was given a password, with a punch that waits."""
    return stage.visit(stage.make_user(must_change_password=True)).open("/clock-in")


def password_change_refused(stage: Stage) -> Person:
    person = password_change(stage)
    _send(person, current_password="wrong", new_password="too short")
    return person


def account(stage: Stage) -> Person:
    return stage.visit(stage.make_user()).open("/account")


def account_with_extremes(stage: Stage) -> Person:
    email = f"{LONG_NAME.lower()[:60]}@{'x' * 60}.example.com"
    user = stage.make_user(last_name=LONG_NAME, first_name=LONG_NAME, email=email)
    return stage.visit(user).open("/account")


def account_just_renamed(stage: Stage) -> Person:
    person = account_name(stage)
    _send(person, last_name="高橋", first_name="花子")
    return person


def account_name(stage: Stage) -> Person:
    return stage.visit(stage.make_user()).open("/account/name")


def account_email(stage: Stage) -> Person:
    return stage.visit(stage.make_user()).open("/account/email")


def account_email_confirm(stage: Stage) -> Person:
    user = stage.make_user()
    tokens.issue_code(user.pk, Purpose.EMAIL, 600, {"email": "hanako@example.net"})
    return stage.visit(user).open("/account/email/confirm")


def account_email_code_gone(stage: Stage) -> Person:
    user = stage.make_user()
    code = tokens.issue_code(user.pk, Purpose.EMAIL, 600, {"email": "hanako@example.net"})
    person = stage.visit(user).open("/account/email/confirm")
    for _ in range(tokens.MAX_TRIES):
        _send(person, code=f"{(int(code) + 1) % 10**tokens.DIGITS:06}")
    return person


def password_forgot_too_often(stage: Stage) -> Person:
    person = password_forgot(stage)
    _send(person, email="nobody@example.com")
    ThrottleCounter.objects.update(hits=RESETS_PER_NETWORK)
    person.open("/password/forgot")
    _send(person, email="nobody@example.com")
    return person


def invitation(stage: Stage) -> Person:
    token = tokens.issue(stage.make_user().pk, Purpose.INVITE, 600)
    return stage.visit().open(f"/invitation/{token}")


def invitation_too_late(stage: Stage) -> Person:
    return stage.visit().open("/invitation/guessed")


def admin_overview(stage: Stage) -> Person:
    return _at_the_desk(stage).open("/admin/")


def admin_people(stage: Stage) -> Person:
    """One in each state, and one with a name that nothing can break."""
    person = _at_the_desk(stage)
    stage.make_user(last_name=LONG_NAME, first_name=LONG_NAME, email=f"{'x' * 60}@{'x' * 60}.example.com")
    stage.make_user(status=UserStatus.SUSPENDED)
    stage.make_user(email="7@placeholder.local", must_change_password=True)
    stage.make_user(locked_until=clock.now() + dt.timedelta(minutes=5))
    return person.open("/admin/accounts/user/")


def admin_people_none_found(stage: Stage) -> Person:
    return _at_the_desk(stage).open("/admin/accounts/user/?q=nobody&state=active")


def admin_person(stage: Stage) -> Person:
    return _at_the_desk(stage).open(f"/admin/accounts/user/{stage.make_user().pk}/change/")


def admin_person_suspend_refused(stage: Stage) -> Person:
    """Without a reason."""
    person = _at_the_desk(stage).open(f"/admin/accounts/user/{stage.make_user().pk}/suspend/")
    return _press_main(person)


def admin_person_password(stage: Stage) -> Person:
    return _at_the_desk(stage).open(f"/admin/accounts/user/{stage.make_user().pk}/password/")


def admin_person_first_password(stage: Stage) -> Person:
    person = admin_person_password(stage)
    person.page.locator("input[value=password]").check()
    return _press_main(person)


def admin_person_history(stage: Stage) -> Person:
    user = stage.make_user()
    user.status = UserStatus.SUSPENDED
    user.save()
    return _at_the_desk(stage).open(f"/admin/accounts/user/{user.pk}/history/")


def admin_invite_refused(stage: Stage) -> Person:
    return _press_main(_at_the_desk(stage).open("/admin/accounts/user/add/"))


def admin_import(stage: Stage) -> Person:
    return _at_the_desk(stage).open("/admin/accounts/user/import/")


def admin_import_refused(stage: Stage) -> Person:
    return _import(stage, "姓,名,メール,権限\n,,x,社長\n佐藤,花子,office@example.com,\n")


def admin_import_preview(stage: Stage) -> Person:
    return _import(
        stage, f"姓,名,メール\n佐藤,花子,new@example.com\n{LONG_NAME[:90]},花子,new2@example.com\n"
    )


def admin_import_done(stage: Stage) -> Person:
    person = admin_import_preview(stage)
    person.page.locator("input[value=password]").check()
    return _press_main(person)


def admin_codes(stage: Stage) -> Person:
    person = _at_the_desk(stage)
    for letter, disabled in (("A", False), ("B", True)):
        RoleCode.objects.create(tenant=_tenant(), code=letter * 16, is_disabled=disabled)
    return person.open("/admin/accounts/rolecode/")


def admin_codes_none(stage: Stage) -> Person:
    return _at_the_desk(stage).open("/admin/accounts/rolecode/")


def admin_code_refused(stage: Stage) -> Person:
    person = _at_the_desk(stage).open("/admin/accounts/rolecode/add/")
    person.page.locator("input[name=max_uses]").fill("0")
    return _press_main(person)


def admin_code(stage: Stage) -> Person:
    return _press_main(_at_the_desk(stage).open("/admin/accounts/rolecode/add/"))


def admin_code_sheet(stage: Stage) -> Person:
    person = admin_code(stage)
    person.link("印刷用の案内" if person.page.locator("html[lang=ja]").count() else "Sheet to print").click()
    return person


def admin_refused(stage: Stage) -> Person:
    """To an employee."""
    return stage.visit(stage.make_user()).open("/admin/")


def not_found(stage: Stage) -> Person:
    return stage.visit().open("/no-such-page")


def not_allowed(stage: Stage) -> Person:
    """Where somebody comes who opens the address of a refused form once more."""
    return stage.visit().open("/sign-out")


def form_too_old(stage: Stage) -> Person:
    person = stage.visit().open("/sign-in")
    person.context.clear_cookies()
    _send_sign_in(person, "nobody@example.com", "wrong")
    return person


def _at_the_desk(stage: Stage) -> Person:
    """A tenant's admin, in a browser."""
    return stage.visit(stage.make_user(role=Role.TENANT_ADMIN, email="office@example.com"))


def _tenant() -> Tenant:
    return Tenant.objects.get()


def _press_main(person: Person) -> Person:
    with person.page.expect_navigation():
        person.page.locator("main form button.primary").click()
    return person


def _import(stage: Stage, text: str) -> Person:
    person = admin_import(stage)
    file: FilePayload = {"name": "people.csv", "mimeType": "text/csv", "buffer": text.encode()}
    person.page.locator("input[type=file]").set_input_files(file)
    return _press_main(person)


def _with_history(stage: Stage) -> User:
    """An employee with some weeks behind: plain days, a night, a clock-out that was forgotten."""
    user = stage.make_user()
    for day in (*range(2, 7), *range(10, 14), 16, 17):
        stage.make_session(f"2026-11-{day:02} 08:58", f"2026-11-{day:02} 12:03", user=user)
        stage.make_session(f"2026-11-{day:02} 12:57", f"2026-11-{day:02} 18:{day + 10}", user=user)
    stage.make_session("2026-11-14 22:04", "2026-11-15 06:31", user=user)
    stage.make_session("2026-11-18 08:55", user=user, end_unknown=True)
    stage.make_session("2026-11-19 09:01", "2026-11-19 18:02", user=user)
    return user


def _send_sign_in(person: Person, email: str, password: str) -> None:
    person.page.locator("input[name=email]").fill(email)
    person.page.locator("input[name=password]").fill(password)
    with person.page.expect_navigation():
        person.page.locator("main form button.primary").click()


def _send(person: Person, **fields: str) -> None:
    for name, text in fields.items():
        person.page.locator(f"main form input[name={name}]").fill(text)
    with person.page.expect_navigation():
        person.page.locator("main form button.primary").click()


PAGES = {
    page.__name__: page
    for page in (
        sign_in,
        sign_in_refused,
        sign_in_incomplete,
        sign_in_with_a_punch_waiting,
        home_without_records,
        home_off_the_clock,
        home_at_work,
        home_just_clocked_in,
        home_without_tenant,
        home_with_extremes,
        question_too_early,
        question_again_so_soon,
        question_after_sign_in,
        register,
        register_refused,
        password_forgot,
        password_forgot_sent,
        password_forgot_too_often,
        password_reset,
        password_reset_too_late,
        password_change,
        password_change_at_first,
        password_change_refused,
        account,
        account_with_extremes,
        account_just_renamed,
        account_name,
        account_email,
        account_email_confirm,
        account_email_code_gone,
        invitation,
        invitation_too_late,
        admin_overview,
        admin_people,
        admin_people_none_found,
        admin_person,
        admin_person_suspend_refused,
        admin_person_password,
        admin_person_first_password,
        admin_person_history,
        admin_invite_refused,
        admin_import,
        admin_import_refused,
        admin_import_preview,
        admin_import_done,
        admin_codes,
        admin_codes_none,
        admin_code_refused,
        admin_code,
        admin_code_sheet,
        admin_refused,
        not_found,
        not_allowed,
        form_too_old,
    )
}
