"""Every page in every state that it has, for the tests that hold for all of them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import time_machine
from playwright.sync_api import FilePayload

from accounts import support, tokens
from accounts.models import Role, RoleCode, ThrottleCounter, User, UserStatus
from accounts.registration_views import RESETS_PER_NETWORK
from accounts.tokens import Purpose
from attendance.import_models import ImportedRow, ImportSource, QuarantinedRow
from attendance.models import WorkSession
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tests.browser.person import Person
from tests.conftest import MakeSession, MakeUser, japan, platform_scope
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


def admin_deleted(stage: Stage) -> Person:
    """Two that were deleted; one of somebody whose name nothing can break."""
    person = _at_the_desk(stage)
    for user in (stage.make_user(), stage.make_user(last_name=LONG_NAME, first_name=LONG_NAME)):
        with scope.because("二重に登録されていたため"):
            stage.make_session("2026-11-18 09:00", "2026-11-18 18:00", user=user).delete()
    return person.open("/admin/attendance/worksession/deleted/")


def admin_deleted_none(stage: Stage) -> Person:
    return _at_the_desk(stage).open("/admin/attendance/worksession/deleted/?date=2026-10")


def home_with_deletions(stage: Stage) -> Person:
    user = _with_history(stage)
    with scope.because("二重に登録されていたため"):
        WorkSession.objects.filter(start_time__gte=japan("2026-11-17 00:00"), end_time__isnull=False).delete()
    return stage.visit(user).open()


def admin_person_changed_meanwhile(stage: Stage) -> Person:
    user = stage.make_user()
    person = _at_the_desk(stage).open(f"/admin/accounts/user/{user.pk}/change/")
    User.objects.filter(pk=user.pk).update(last_name="高橋", role=Role.TENANT_ADMIN)
    person.page.locator("input[name=last_name]").fill("田中")
    return _press_main(person)


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


def platform_tenants(stage: Stage) -> Person:
    """One in each state, and one with a name that nothing can break."""
    person = _at_the_platform(stage)
    _import_of_old_database()
    for state in TenantStatus:
        Tenant.objects.create(name=f"{state.label}", status=state)
    Tenant.objects.create(name=LONG_NAME, contact_email=f"{'x' * 60}@{'x' * 60}.example.com")
    stage.make_session("2026-11-19 09:00", "2026-11-19 17:00")
    return person.open("/platform/")


def platform_tenants_none(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    Tenant.objects.all().delete()
    return person.open("/platform/")


def platform_tenant(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    stage.make_user(role=Role.TENANT_ADMIN, email=f"{'x' * 60}@{'x' * 60}.example.com")
    stage.make_session("2026-11-19 09:00", "2026-11-19 17:00")
    _import_of_old_database()
    _access(person, stage)
    return person.open(_of_tenant("change"))


def platform_create(stage: Stage) -> Person:
    return _at_the_platform(stage).open("/platform/tenants/tenant/add/")


def platform_create_refused(stage: Stage) -> Person:
    return _press_main(platform_create(stage))


def platform_first_password(stage: Stage) -> Person:
    person = platform_create(stage)
    given = {"name": LONG_NAME[:90], "last_name": "森", "first_name": "桜子", "email": "new@example.com"}
    for name, text in given.items():
        person.page.locator(f"input[name={name}]").fill(text)
    return _press_main(person)


def platform_suspend_refused(stage: Stage) -> Person:
    return _press_main(_at_the_platform(stage).open(_of_tenant("suspend")))


def platform_close_refused(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    return _press_main(person.open(_of_tenant("close")))


def platform_access(stage: Stage) -> Person:
    return _at_the_platform(stage).open(_of_tenant("access"))


def platform_quarantine(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    _import_of_old_database()
    return person.open(_of_tenant("quarantine"))


def platform_quarantine_with_access(stage: Stage) -> Person:
    person = platform_quarantine(stage)
    _access(person, stage)
    return person.open(_of_tenant("quarantine"))


def platform_imports(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    _import_of_old_database()
    return person.open("/platform/imports/")


def platform_accesses(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    _access(person, stage)
    return person.open("/platform/accesses/")


def platform_month(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    stage.make_session("2026-11-19 09:00", "2026-11-19 17:00")
    stage.make_user(last_name=LONG_NAME, first_name=LONG_NAME)
    _access(person, stage)
    return person.open(f"/platform/support/{_tenant().pk}/?month=2026-11")


def platform_employee(stage: Stage) -> Person:
    person = platform_month(stage)
    stage.make_session("2026-11-18 22:00", "2026-11-19 06:00")
    person.link("佐藤 花子").click()
    return person


def platform_history(stage: Stage) -> Person:
    person = _at_the_platform(stage)
    _access(person, stage)
    return person.open(_of_tenant("history"))


def admin_looked_at(stage: Stage) -> Person:
    """While an operator reads the records."""
    _access(_at_the_platform(stage), stage)
    stage.make_session("2026-11-19 09:00", "2026-11-19 17:00")
    return _at_the_desk(stage).open("/admin/")


def _at_the_platform(stage: Stage) -> Person:
    operator = stage.make_user(
        role=Role.PLATFORM_ADMIN,
        tenant=None,
        email="operator@example.com",
        last_name="運営",
        first_name="太郎",
    )
    return stage.visit(operator)


def _of_tenant(page: str) -> str:
    return f"/platform/tenants/tenant/{_tenant().pk}/{page}/"


def _access(_person: Person, stage: Stage) -> None:
    operator = User.objects.get(email="operator@example.com")
    with scope.enter(platform_scope(operator)):
        support.begin(_tenant(), operator, reason="お問い合わせ 12 の調査", minutes=60)


def _import_of_old_database() -> None:
    moved = {"read": 1234, "moved": 1230, "refused": 4}
    source = ImportSource.objects.create(
        digest="d" * 64, file_name="attendance.db", generation=3, row_counts={"work_sessions": moved}
    )
    ImportedRow.objects.create(
        source=source, table_name="tenants", legacy_id=1, row_id=_tenant().pk, digest=b"x"
    )
    for number, (table, code, tenant) in enumerate(
        [
            ("work_sessions", "overlap", _tenant().pk),
            ("users", "taken", _tenant().pk),
            ("users", "no_parent", None),
        ]
    ):
        QuarantinedRow.objects.create(
            source=source,
            tenant=tenant,
            table_name=table,
            legacy_id=number,
            row={"id": number, "start_time": "2019-01-01T09:00:00.000Z"},
            reason_code=code,
            reason="overlaps with work session 6",
            digest=bytes([number]),
        )


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
        admin_deleted,
        admin_deleted_none,
        admin_person_changed_meanwhile,
        home_with_deletions,
        admin_refused,
        admin_looked_at,
        platform_tenants,
        platform_tenants_none,
        platform_tenant,
        platform_create,
        platform_create_refused,
        platform_first_password,
        platform_suspend_refused,
        platform_close_refused,
        platform_access,
        platform_quarantine,
        platform_quarantine_with_access,
        platform_imports,
        platform_accesses,
        platform_month,
        platform_employee,
        platform_history,
        not_found,
        not_allowed,
        form_too_old,
    )
}
