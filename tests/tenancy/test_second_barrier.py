"""What PostgreSQL refuses by itself: `in_scope()` does nothing here, as if everybody had forgotten it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, call_command
from django.db import DatabaseError, ProgrammingError, connection, models, transaction
from django.db.models import Count, F
from django.forms import ModelForm, modelform_factory
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import path

from accounts.access import tenant_reach
from accounts.backends import EmailBackend
from accounts.models import RoleCode, User
from attendance.models import WorkSession
from tenants import scope
from tenants.models import Tenant
from tenants.scope import NoScopeError, Scope
from tests.conftest import EVERYTHING, PASSWORD, japan
from tests.tenancy.protection import TABLES
from tests.tenancy.world import World, make_world, take_the_first_barrier_away, told
from timerecord.core.sessions import TENANT_KEY

NO_SCOPE = "no scope was named"
MODELS = [model for model in apps.get_models() if model._meta.db_table in TABLES]
UserForm = type["ModelForm[User]"]


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def as_admin(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The tenant admin's scope, and no first barrier."""
    take_the_first_barrier_away(monkeypatch)
    with scope.enter(world.own_admin.admin):
        yield world


def rows(query: str, *given: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        return list(cursor.fetchall())


def refused(*, match: str = "row-level security policy") -> Any:
    return pytest.raises(ProgrammingError, match=match)


class TestAcrossTenants:
    def test_the_first_barrier_is_away(self, as_admin: World) -> None:
        with scope.enter(EVERYTHING.replace(reason="shows what could leak")):
            told(EVERYTHING)
            assert User.objects.in_scope().filter(tenant=as_admin.there).count() == 3

    def test_every_table_has_a_model(self) -> None:
        assert {model._meta.db_table for model in MODELS} == set(TABLES)

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.db_table)
    def test_each_model(self, as_admin: World, model: type[models.Model]) -> None:
        table = model._meta.db_table
        column = TABLES[table]
        if not column:
            assert model._default_manager.count() == 0
        elif column in ("tenant_id", "tenant") or model is Tenant:
            assert set(model._default_manager.values_list(column, flat=True)) == {as_admin.here.pk}
        else:
            tenant_path = "tenant" if model is User else "user__tenant"
            assert set(model._default_manager.values_list(tenant_path, flat=True)) == {as_admin.here.pk}

    def test_raw_sql(self, as_admin: World) -> None:
        assert rows("SELECT DISTINCT tenant_id FROM users") == [(as_admin.here.pk,)]
        assert rows("SELECT 1 FROM work_sessions WHERE user_id = %s", as_admin.other_employee.user.pk) == []
        assert list(User.objects.raw("SELECT * FROM users WHERE tenant_id = %s", [as_admin.there.pk])) == []

    def test_bulk_create(self, as_admin: World) -> None:
        there, other = as_admin.there, as_admin.other_employee.user
        moment = japan("2026-01-01 09:00")
        session = WorkSession(user=other, start_time=moment, end_time=moment)
        attempts: list[Callable[[], object]] = [
            lambda: User.objects.bulk_create([User(username="n", email="n@example.com", tenant=there)]),
            lambda: User.objects.bulk_create([User(username="n", email="n@example.com", tenant=None)]),
            lambda: RoleCode.objects.bulk_create([RoleCode(tenant=there, code="N" * 16)]),
            lambda: WorkSession.objects.bulk_create([session]),
        ]
        for attempt in attempts:
            with refused(), transaction.atomic():
                attempt()

    def test_bulk_create_over_what_is_there(self, as_admin: World) -> None:
        """An upsert finds the other tenant's row by its unique value, and may not touch it."""
        mine = User(username="n", email=as_admin.other_employee.user.email, tenant=as_admin.here)
        with refused(), transaction.atomic():
            User.objects.bulk_create(
                [mine], update_conflicts=True, unique_fields=["email"], update_fields=["tenant", "username"]
            )

    def test_update_and_delete(self, as_admin: World) -> None:
        theirs = User.objects.filter(tenant=as_admin.there)
        assert theirs.update(first_name="x") == 0
        assert WorkSession.objects.filter(user=as_admin.other_employee.user).update(end_unknown=False) == 0
        assert WorkSession.objects.filter(user=as_admin.other_employee.user)._raw_delete("default") == 0
        assert theirs._raw_delete("default") == 0
        assert User.objects.update(failed_attempts=F("failed_attempts") + 1) == User.objects.count() == 5
        with scope.enter(EVERYTHING):
            assert set(User.objects.filter(failed_attempts=1).values_list("tenant", flat=True)) == {
                as_admin.here.pk
            }

    def test_a_row_does_not_move(self, as_admin: World) -> None:
        for target in (as_admin.there, None):
            with refused(), transaction.atomic():
                User.objects.filter(pk=as_admin.colleague.user.pk).update(tenant=target)
            with refused(), transaction.atomic():
                RoleCode.objects.update(tenant=as_admin.there)
        session = as_admin.colleague.past
        session.user = as_admin.other_employee.user
        with refused(), transaction.atomic():
            session.save()

    def test_reverse_joins(self, as_admin: World) -> None:
        here, there, other = as_admin.here, as_admin.there, as_admin.other_employee.user
        assert list(there.users.all()) == []
        assert list(there.role_codes.all()) == []
        assert list(other.work_sessions.all()) == []
        assert list(other.password_resets.all()) == []
        assert list(Tenant.objects.annotate(n=Count("users")).values_list("pk", "n")) == [(here.pk, 5)]
        found = WorkSession.objects.select_related("user__tenant")
        assert {session.user.tenant for session in found} == {here}
        assert list(User.objects.filter(tenant__name=there.name)) == []
        assert list(User.objects.prefetch_related("work_sessions").filter(pk=other.pk)) == []
        with pytest.raises(User.DoesNotExist):
            other.refresh_from_db()
        # A row that points abroad leads nowhere.
        code = as_admin.codes[here.pk]
        code.created_by_id = other.pk
        code.save()
        joined = RoleCode.objects.filter(pk=code.pk).values_list("created_by__email", flat=True)
        assert list(joined) == [None]


class TestScopes:
    """Which scope PostgreSQL knows, and when."""

    def sees(self) -> set[int]:
        return set(User.objects.values_list("pk", flat=True))

    def test_an_inner_scope_is_left_again(self, as_admin: World) -> None:
        outer = self.sees()
        with scope.enter(as_admin.colleague.own):
            assert self.sees() == {as_admin.colleague.user.pk}
            with scope.enter(as_admin.other_admin.admin):
                assert len(self.sees()) == 3
            assert self.sees() == {as_admin.colleague.user.pk}
        assert self.sees() == outer
        assert scope.current() == as_admin.own_admin.admin

    def test_after_an_exception_too(self, as_admin: World) -> None:
        outer = self.sees()
        for query in ("SELECT 1 / 0", "SELECT no_such_thing"):
            with pytest.raises(DatabaseError), scope.enter(as_admin.other_admin.admin):
                rows(query)
            assert self.sees() == outer
        with pytest.raises(ZeroDivisionError), scope.enter(as_admin.other_admin.admin):
            len(outer) // len(self.sees() & outer)
        assert self.sees() == outer
        assert scope.current() == as_admin.own_admin.admin

    def test_after_a_rollback_that_was_asked_for(self, as_admin: World) -> None:
        outer = self.sees()
        with scope.enter(as_admin.other_admin.admin):
            transaction.set_rollback(True)
        assert self.sees() == outer

    def test_a_scope_within_a_transaction_without_one(self, world: World) -> None:
        told(None)
        with scope.none():
            hidden = scope._hidden.set(None)
            try:
                with transaction.atomic():
                    with scope.enter(world.other_admin.admin):
                        assert len(self.sees()) == 3
                    with refused(match=NO_SCOPE), transaction.atomic():
                        self.sees()
            finally:
                scope._hidden.reset(hidden)

    @pytest.mark.parametrize("told_before", ["absent", "empty"])
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("without_scope")
    def test_absent_and_empty_refuse(self, told_before: str, monkeypatch: pytest.MonkeyPatch) -> None:
        take_the_first_barrier_away(monkeypatch)
        with scope.enter(EVERYTHING):
            User.objects.create_user(email="a@example.com", password=None)
        if told_before == "absent":
            connection.close()
        (said,) = rows("SELECT current_setting('timerecord.scope', true)")
        assert said == (None if told_before == "absent" else "",)
        with refused(match=NO_SCOPE):
            self.sees()
        with refused(match=NO_SCOPE), transaction.atomic():
            self.sees()


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(user.email for user in User.objects.all().iterator())


@tenant_reach
def list_people(request: HttpRequest) -> HttpResponse:
    return HttpResponse(" ".join(User.objects.values_list("email", flat=True)))


urlpatterns = [path("stream", stream), path("people", list_people)]


class ForgetsItsScope(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> str:
        return " ".join(User.objects.in_scope().values_list("email", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_scope")
class TestOutsideTheTransaction:
    @pytest.fixture
    def there(self) -> User:
        """Somebody whose row could leak, committed."""
        with scope.enter(EVERYTHING):
            return User.objects.create_user(
                email="a@example.com", password=PASSWORD, tenant=Tenant.objects.create()
            )

    @pytest.fixture(autouse=True)
    def without_the_first_barrier(self, there: User, monkeypatch: pytest.MonkeyPatch) -> None:
        take_the_first_barrier_away(monkeypatch)

    def test_a_query_after_the_transaction(self, there: User) -> None:
        with scope.enter(EVERYTHING):
            people = User.objects.all()
            assert people.count() == 1
        with refused(match=NO_SCOPE):
            list(people)
        with pytest.raises(NoScopeError):
            scope.current()

    @override_settings(ROOT_URLCONF=__name__)
    def test_a_streaming_response(self, there: User, client: Client) -> None:
        client.force_login(there)
        response = client.get("/stream")
        assert response.streaming
        with refused(match=NO_SCOPE):
            list(response)

    @override_settings(ROOT_URLCONF=__name__)
    def test_an_admins_page_reaches_the_own_tenant(self, there: User, client: Client) -> None:
        with scope.enter(EVERYTHING):
            colleague = User.objects.create_user(email="b@example.com", password=None, tenant=there.tenant)
            User.objects.create_user(email="c@example.com", password=None, tenant=Tenant.objects.create())
        client.force_login(colleague)
        assert client.get("/people").content == b"b@example.com"
        with scope.enter(EVERYTHING):
            User.objects.filter(pk=colleague.pk).update(role="tenant_admin")
            client.force_login(User.objects.get(pk=colleague.pk))  # a new role ends the session
        assert sorted(client.get("/people").content.split()) == [b"a@example.com", b"b@example.com"]

    def test_a_thread(self, there: User) -> None:
        raised: list[BaseException] = []

        def read(queryset: models.QuerySet[User]) -> None:
            try:
                list(queryset)
            except ProgrammingError as refusal:
                raised.append(refusal)
            finally:
                connection.close()

        with scope.enter(EVERYTHING):
            thread = threading.Thread(target=read, args=[User.objects.all()])
            thread.start()
            thread.join()
        assert [NO_SCOPE in str(refusal) for refusal in raised] == [True]

    def test_a_command_that_forgot_its_scope(self, there: User, monkeypatch: pytest.MonkeyPatch) -> None:
        with refused(match=NO_SCOPE):
            call_command(ForgetsItsScope())
        monkeypatch.undo()
        with pytest.raises(NoScopeError):
            call_command(ForgetsItsScope())
        with scope.everything("a test's command"):
            assert call_command(ForgetsItsScope()) == there.email

    @pytest.mark.parametrize("password", [PASSWORD, "wrong"])
    def test_a_sign_in_leaves_its_scope_behind(self, there: User, client: Client, password: str) -> None:
        (before,) = rows("SELECT pg_backend_pid()")
        response = client.post("/sign-in", {"email": there.email, "password": password})
        assert response.status_code == (302 if password == PASSWORD else 200)
        assert rows("SELECT pg_backend_pid(), current_setting('timerecord.scope', true)") == [(*before, "")]
        with refused(match=NO_SCOPE):
            User.objects.count()

    def test_a_failing_page_leaves_its_scope_behind(self, there: User, client: Client) -> None:
        client.force_login(there)
        with override_settings(ROOT_URLCONF=f"{__name__}_without_urls"), pytest.raises(ModuleNotFoundError):
            client.get("/")
        with refused(match=NO_SCOPE):
            User.objects.count()

    def test_a_look_up_without_scope_raises_and_signs_nobody_out(
        self, there: User, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client.force_login(there)
        monkeypatch.undo()  # both barriers now
        with pytest.raises(NoScopeError):
            EmailBackend().get_user(there.pk)
        complete = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in complete if name != "tenants.middleware.ScopeMiddleware"]
        with pytest.raises(NoScopeError):
            client.get("/")
        settings.MIDDLEWARE = complete
        client.handler.load_middleware()
        assert client.session[SESSION_KEY] == str(there.pk)
        assert client.get("/").status_code == 200


class TestTheSessionsTenant:
    def test_who_has_moved_signs_in_again(self, world: World, client: Client) -> None:
        user = world.own_admin.user
        client.force_login(user)
        assert client.get("/").status_code == 200
        User.objects.filter(pk=user.pk).update(tenant=world.there)
        assert client.get("/")["Location"] == "/sign-in?next=/"
        client.force_login(User.objects.get(pk=user.pk))
        assert client.session[TENANT_KEY] == world.there.pk
        assert client.get("/").status_code == 200

    @override_settings(ROOT_URLCONF=__name__, LOGIN_URL="/sign-in")
    def test_an_old_session_reaches_neither_tenant(
        self, world: World, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_the_first_barrier_away(monkeypatch)
        client.force_login(world.own_admin.user)
        assert client.get("/people").status_code == 200
        User.objects.filter(pk=world.own_admin.user.pk).update(tenant=world.there)
        assert client.get("/people").status_code == 302


class TestAnAddressThatAnotherTenantHas:
    """The form says so, as it would of one's own tenant; it says nothing else."""

    @pytest.fixture
    def form(self) -> UserForm:
        return modelform_factory(User, fields=["email", "first_name"])

    @pytest.mark.parametrize("whose", ["colleague", "other_employee", "without_tenant"])
    def test_the_field_has_the_message(self, world: World, form: UserForm, whose: str) -> None:
        taken = world.people[whose].user.email
        with scope.enter(world.own_admin.admin):
            new = form({"email": taken}, instance=User(tenant=world.here, username="n", password="!"))
            assert new.errors == {"email": [new.instance.unique_error_message(User, ("email",)).messages[0]]}
            changed = form({"email": taken}, instance=world.at_work.user)
            assert set(changed.errors) == {"email"}
            world.at_work.user.refresh_from_db()
            with pytest.raises(ValidationError, match="email"):
                User(tenant=world.here, username="n", password="!", email=taken).full_clean()
            assert scope.current() == world.own_admin.admin
            assert User.objects.filter(tenant=world.there).count() == 0

    def test_a_free_one_is_taken(self, world: World, form: UserForm) -> None:
        with scope.enter(world.own_admin.admin):
            blank = User(tenant=world.here, username="n", password="!")
            new = form({"email": "new@example.com"}, instance=blank)
            assert new.errors == {}
            assert new.save().tenant == world.here

    def test_what_does_not_touch_the_address_asks_for_nothing(
        self, world: World, django_assert_num_queries: Any
    ) -> None:
        names = modelform_factory(User, fields=["first_name"])
        form = names({"first_name": "x"}, instance=world.colleague.user)
        with django_assert_num_queries(0):
            assert form.is_valid()

    def test_without_a_scope_nothing_is_validated(self, world: World) -> None:
        with scope.none(), pytest.raises(NoScopeError):
            User(username="n", password="!", email="n@example.com").validate_constraints()


def test_a_scope_says_what_it_reaches() -> None:
    for fields in ({"reach": scope.Reach.OWN}, {"reach": scope.Reach.TENANT}):
        with pytest.raises(ValueError, match="names the"):
            Scope(door=scope.Door.CLOCK, **fields)  # type: ignore[arg-type]
