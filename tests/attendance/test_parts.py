"""Proof, anchors and removal of one part of the tenants at a time: all of them come to their turn."""

import datetime as dt
import itertools
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from accounts.models import AuditEvent
from attendance import chains
from attendance.management.commands.export_anchor import last_month
from attendance.management.parts import Part, Round
from tenants import scope
from tenants.models import Tenant
from tests.attendance.tampering import On, no_triggers, past_the_foreign_keys
from tests.conftest import MakeSession, MakeUser, japan

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {f"ten_{number:012d}": number for number in range(200)}


def options(part: str = "1/1", seconds: float | None = None) -> dict[str, object]:
    return {"part": part, "seconds": seconds}


def those_of(part: str) -> list[int]:
    """Return whom a round comes to, in its order."""
    found: list[int] = []
    Round(NAMES, options(part)).each(found.append, print)
    return found


def run(command: str, *arguments: str) -> list[str]:
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue().splitlines()


@pytest.fixture
def tenants(tenant: Tenant) -> list[Tenant]:
    # Not all of them in one part of three.
    uids = ("ten_00000000000a", "ten_00000000000b", "ten_00000000000c", "ten_00000000000d")
    return [tenant, *(Tenant.objects.create(name=f"商店 {uid}", tenant_uid=uid) for uid in uids)]


def test_everybody_is_in_one_part_and_always_in_the_same() -> None:
    parts = [those_of(f"{number}/7") for number in range(1, 8)]
    assert sorted(itertools.chain(*parts)) == list(NAMES.values())
    assert min(len(part) for part in parts) > 10
    with time_machine.travel(dt.datetime(2027, 1, 1, tzinfo=dt.UTC)):
        again = [those_of(f"{number}/7") for number in range(1, 8)]
    assert [set(part) for part in again] == [set(part) for part in parts]
    assert again != parts  # in another order


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "a/b", "-1/3", "1/3/5"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(CommandError, match="is no part such as 3/20"):
        Part.parse(text)


@pytest.mark.parametrize("seconds", [0, 1e-9])
def test_nobody_is_begun_when_the_time_is_over(seconds: float) -> None:
    reached, begun, said = Round(NAMES, options(seconds=seconds)), list[int](), list[str]()
    reached.each(begun.append, said.append)
    assert (begun, said) == ([], [])
    assert reached.problem().startswith("There was too little time. Not reached: ten_")
    assert len(reached.left) == len(NAMES)


def test_who_fails_stops_no_other_and_is_named() -> None:
    reached, done, said = Round({"one": 1, "two": 2, "three": 3}, options()), list[int](), list[str]()

    def do(number: int) -> None:
        if number == 2:
            raise DatabaseError("the lock is not to be had\nCONTEXT: a row")
        done.append(number)

    reached.each(do, said.append)
    assert sorted(done) == [1, 3]
    assert said == ["two: the lock is not to be had"]
    assert reached.problem() == "It failed with two."


def test_whom_it_was_at_when_it_broke_off_is_named() -> None:
    reached, said = Round({"one": 1, "two": 2}, options()), list[str]()

    def do(_number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reached.each(do, said.append)
    (left,) = reached.left
    at = ({"one", "two"} - {left}).pop()
    assert said == [f"Broken off at {at}. There was too little time. Not reached: {left}."]


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("verify_history", ["--tenant", "x", "--part", "1/2"], "Name a --tenant or a --part, not both"),
        ("export_anchor", ["--tenant", "x", "--part", "1/2"], "Name a --tenant or a --part, not both"),
        ("purge_expired", ["--confirm", "--tenant", "x", "--part", "1/2"], "Name a --tenant or a --part"),
        ("purge_expired", ["--part", "1/2"], "--part goes with --confirm"),
        ("verify_history", ["--seconds", "5"], "--seconds goes with --part"),
    ],
)
def test_what_does_not_go_together_is_refused(
    db: None, command: str, arguments: list[str], said: str
) -> None:
    """Whoever named a tenant that is in another part would take nothing done for all done."""
    with pytest.raises(CommandError, match=said):
        run(command, *arguments)


# --- the proof --------------------------------------------------------------------------------------------


def test_the_parts_together_prove_as_much_as_all_at_once(
    tenants: list[Tenant], make_user: MakeUser, make_session: MakeSession, owner: On
) -> None:
    """Of each tenant, of whoever has none, and of whoever is gone."""
    sessions = [
        make_session("2026-11-18 09:00", "2026-11-18 17:00", user=make_user(tenant=tenant))
        for tenant in (*tenants, None, tenants[0])
    ]
    gone = sessions[-1].user_id
    assert (at_once(), by_parts(7)) == ([], ([], len(sessions)))
    with no_triggers(owner):
        for session in (sessions[0], sessions[3], sessions[5]):
            owner.execute(
                "UPDATE work_sessions SET end_time = %s WHERE id = %s",
                [japan("2026-11-18 18:00"), session.pk],
            )
    past_the_foreign_keys("DELETE FROM users WHERE id = %s", [gone])
    assert f"employee {gone}: there is no such employee, but 1 work sessions" in " ".join(at_once())
    assert len(at_once()) == 4
    assert by_parts(7) == (at_once(), len(sessions) - 1)


def at_once() -> list[str]:
    with scope.everything("a test"):
        return sorted(str(finding) for finding in chains.verify().findings)


def by_parts(of: int) -> tuple[list[str], int]:
    """Return what the parts find, and how many rows of history they look at."""
    findings, rows = [], 0
    for number in range(1, of + 1):
        output = StringIO()
        try:
            call_command("verify_history", "--part", f"{number}/{of}", stdout=output)
            said = output.getvalue().splitlines()[-1]
        except CommandError as error:
            said = str(error)
            findings += output.getvalue().splitlines()
        rows += int(said.partition(" rows of")[0].rpartition(" ")[2])
    return sorted(findings), rows


def test_too_little_time_for_the_proof_is_an_error_that_names_them(tenants: list[Tenant]) -> None:
    with pytest.raises(CommandError, match="There was too little time") as told:
        run("verify_history", "--part", "1/1", "--seconds", "0.000001")
    assert [tenant for tenant in tenants if tenant.tenant_uid not in str(told.value)] == []


def test_a_proof_that_is_broken_off_says_where(
    tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def interrupted(tenant: Tenant, **_: object) -> chains.Verified:
        seen.append(tenant.tenant_uid)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return chains.Verified(0, 0, 0, [])

    monkeypatch.setattr(chains, "verify", interrupted)
    output = StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("verify_history", "--part", "1/1", stdout=output)
    assert f"Broken off at {seen[1]}. There was too little time. Not reached: " in output.getvalue()


def test_a_proof_that_fails_with_one_goes_on_with_the_others(
    tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = chains.verify

    def fails_once(tenant: Tenant | None = None, **given: Any) -> chains.Verified:
        if tenant == tenants[1]:
            raise DatabaseError("invalid page in block 7")  # no disk is damaged here
        return verify(tenant, **given)

    monkeypatch.setattr(chains, "verify", fails_once)
    output = StringIO()
    with pytest.raises(CommandError, match=f"^It failed with {tenants[1].tenant_uid}.$"):
        call_command("verify_history", "--part", "1/1", stdout=output)
    assert f"{tenants[1].tenant_uid}: invalid page in block 7" in output.getvalue()
    assert "Nothing to find in " in output.getvalue()


# --- anchors ----------------------------------------------------------------------------------------------


def test_anchors_of_all_go_into_a_folder(
    tenants: list[Tenant], make_session: MakeSession, tmp_path: Path
) -> None:
    make_session("2026-10-20 09:00", "2026-10-20 18:00")
    for number in (1, 2, 3):
        run("export_anchor", "--part", f"{number}/3", "--into", str(tmp_path))
    files = list(tmp_path.glob("*/*.txt"))
    assert sorted(path.parent.name for path in files) == sorted(t.tenant_uid for t in tenants)
    for path in files:
        anchor = chains.Anchor.parse(path.read_text())
        assert path.name == f"{anchor.month}-{anchor.digest}.txt"
        said = run(
            "export_anchor", "--tenant", anchor.tenant_uid, "--month", anchor.month, "--check", str(path)
        )
        assert "fits the anchor" in said[-1]
    with pytest.raises(CommandError, match="Not reached"):
        run("export_anchor", "--part", "1/1", "--into", str(tmp_path), "--seconds", "0.000001")


@pytest.mark.parametrize(
    ("now", "month"),
    [("2026-11-30 23:59", "2026-10"), ("2026-12-01 00:00", "2026-11"), ("2027-01-15 12:00", "2026-12")],
)
def test_the_last_month_that_is_over_there(tenant: Tenant, now: str, month: str) -> None:
    with time_machine.travel(japan(now), tick=False):
        assert last_month(tenant) == month


@pytest.mark.parametrize("arguments", [[], ["--part", "1/1"], ["--into", "x"], ["--month", "2026-10"]])
def test_an_anchor_is_somebodys(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="Name a --tenant"):
        run("export_anchor", *arguments)


# --- removal ----------------------------------------------------------------------------------------------


@pytest.fixture
def old_events(tenants: list[Tenant], owner: On) -> list[Tenant]:
    """Have each tenant's audit trail tell of something that is older than any retention."""
    for tenant in tenants:
        owner.execute(
            "INSERT INTO audit_events (at, tenant_id, kind, door, after)"
            " VALUES ('2001-01-01 00:00+00', %s, 'account.locked', 'command', '{}')",
            [tenant.pk],
        )
    return tenants


def old() -> set[int | None]:
    with scope.everything("a test"):
        events = AuditEvent.objects.filter(at__year=2001)
        return set(events.values_list("tenant_id", flat=True))


def test_a_purge_by_parts_comes_to_all(old_events: list[Tenant], tmp_path: Path) -> None:
    left = [old()]
    for number in (1, 2, 3):
        run("purge_expired", "--confirm", "--part", f"{number}/3", "--into", str(tmp_path))
        left.append(old())
    assert (len(left[0]), left[-1]) == (len(old_events), set())
    assert len(set(map(len, left))) > 2  # not all of them in one part
    manifests = list(tmp_path.glob("*.json"))
    for manifest in manifests:
        run("purge_expired", "--check", str(manifest))
    # Whoever has nothing left is no reason for another manifest.
    run("purge_expired", "--confirm", "--part", "1/1", "--into", str(tmp_path))
    assert list(tmp_path.glob("*.json")) == manifests


def test_what_a_purge_had_no_time_for_goes_the_next_time(old_events: list[Tenant]) -> None:
    with pytest.raises(CommandError, match="There was too little time"):
        run("purge_expired", "--confirm", "--part", "1/1", "--seconds", "0.000001")
    assert len(old()) == len(old_events)
    run("purge_expired", "--confirm", "--part", "1/1")
    assert old() == set()
