"""Proof, anchors and removal of one part of the tenants at a time: all of them come to their turn."""

import datetime as dt
import itertools
from io import StringIO
from pathlib import Path

import pytest
import time_machine
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent
from attendance import chains
from attendance.management.commands.export_anchor import last_month
from attendance.management.parts import Part, Round
from attendance.models import WorkSession
from tenants import scope
from tenants.models import Tenant
from tests.attendance.tampering import On, no_triggers, past_the_foreign_keys
from tests.conftest import MakeSession, MakeUser, japan

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {f"ten_{number:012d}": number for number in range(200)}


def options(part: str = "1/1", seconds: float | None = None) -> dict[str, object]:
    return {"part": part, "seconds": seconds}


def run(command: str, *arguments: str) -> list[str]:
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue().splitlines()


@pytest.fixture
def tenants(tenant: Tenant) -> list[Tenant]:
    return [tenant, *(Tenant.objects.create(name=f"商店 {number}") for number in range(4))]


def test_everybody_is_in_one_part_and_always_in_the_same() -> None:
    parts = [list(Round(NAMES, options(f"{number}/7"))) for number in range(1, 8)]
    assert sorted(itertools.chain(*parts)) == list(NAMES.values())
    assert min(len(part) for part in parts) > 10
    with time_machine.travel(dt.datetime(2027, 1, 1, tzinfo=dt.UTC)):
        again = [list(Round(NAMES, options(f"{number}/7"))) for number in range(1, 8)]
    assert [set(part) for part in again] == [set(part) for part in parts]
    assert again != parts  # in another order


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "a/b", "-1/3", "1/3/5"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(CommandError, match="is no part such as 3/20"):
        Part.parse(text)


def test_nobody_is_begun_when_the_time_is_over() -> None:
    reached = Round(NAMES, options(seconds=1e-9))
    assert list(reached) == []
    assert reached.not_done().startswith("Not reached: ten_")
    assert len(reached.left) == len(NAMES)


def test_whom_it_was_at_and_whom_it_did_not_come_to_are_named() -> None:
    reached = Round({"one": 1, "two": 2}, options())
    next(iter(reached))
    (left,) = reached.left
    assert reached.not_done() == f"Broken off at {({'one', 'two'} - {left}).pop()}. Not reached: {left}."


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
    assert f"Broken off at {seen[1]}. Not reached: " in output.getvalue()


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
        assert path.name == f"{anchor.month}-{anchor.digest[:16]}.txt"
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
        run("purge_expired", "--confirm", "--part", f"{number}/3", "--manifest", str(tmp_path))
        left.append(old())
    assert (len(left[0]), left[-1]) == (len(old_events), set())
    assert len(set(map(len, left))) > 2  # not all of them in one part
    manifests = list(tmp_path.glob("*.json"))
    for manifest in manifests:
        run("purge_expired", "--check", str(manifest))
    # Whoever has nothing left is no reason for another manifest.
    run("purge_expired", "--confirm", "--part", "1/1", "--manifest", str(tmp_path))
    assert list(tmp_path.glob("*.json")) == manifests


def test_what_a_purge_had_no_time_for_goes_the_next_time(old_events: list[Tenant]) -> None:
    with pytest.raises(CommandError, match="There was too little time"):
        run("purge_expired", "--confirm", "--part", "1/1", "--seconds", "0.000001")
    assert len(old()) == len(old_events)
    run("purge_expired", "--confirm", "--part", "1/1")
    assert old() == set()
    assert WorkSession.objects.count() == 0
