"""Commands by event, through the real runtime client."""

import datetime as dt
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections

from accounts.models import AuditEvent, PasswordReset, Role, User
from attendance.management.commands.export_anchor import last_month
from tenants.models import Tenant
from tests.attendance.tampering import connect, no_triggers
from tests.aws_lambda.conftest import (
    MAINTENANCE,
    PLACE,
    administrator,
    database_url,
    deployed,
    function,
    s3_client,
)
from tests.aws_lambda.runtime import SECONDS, Function, FunctionError
from tests.aws_lambda.test_large_answers import fetch
from tests.aws_lambda.urls import AT_THE_EDGE
from tests.conftest import MakeSession
from timerecord.core import clock

pytestmark = pytest.mark.django_db(transaction=True)

BUCKET, EXPORTS = "timerecord-evidence", "timerecord-exports-of-maintenance"
ADMIN = {"PLATFORM_ADMIN_EMAIL": "first@example.com", "PLATFORM_ADMIN_PASSWORD": "a first passphrase, long"}


@pytest.fixture(scope="module")
def maintenance(
    static_root: Path, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    log = tmp_path_factory.mktemp("maintenance") / "log"
    variables = {**deployed(static_root), **ADMIN, "DATABASE_URL": database_url()}
    with function(MAINTENANCE, log, variables) as found:
        yield found


def test_housekeeping_does_what_waits(maintenance: Function, employee: User) -> None:
    over = clock.now() - dt.timedelta(days=2)
    PasswordReset.objects.create(user=employee, token="0" * 64, expires_at=over)
    found = maintenance.invoke({"command": "housekeeping"})
    assert found["command"] == "housekeeping"
    assert found["said"] == ["0 errands done; 1 links and codes, 0 counters removed"]
    assert isinstance(found["milliseconds"], int)
    assert not PasswordReset.objects.exists()


def test_a_history_that_was_altered_is_an_error(
    maintenance: Function, make_session: MakeSession, employee: User
) -> None:
    session = make_session("2026-11-20 09:00", "2026-11-20 18:00")
    found = maintenance.invoke({"command": "verify_history"})
    assert found["said"][-1].startswith("Nothing to find in ")
    with connect("owner") as owner, no_triggers(owner):
        owner.execute(
            "UPDATE work_sessions SET end_time = end_time + interval '1 hour' WHERE id = %s", [session.pk]
        )
    with pytest.raises(FunctionError, match=r"verify_history failed: 1 findings"):
        maintenance.invoke({"command": "verify_history"})


def test_the_first_admin_is_made_once(maintenance: Function) -> None:
    made, again = (maintenance.invoke({"command": "create_platform_admin"}) for _ in range(2))
    assert made["said"][0].startswith("Made the platform admin first@example.com")
    assert "nothing was changed" in again["said"][0]
    assert User.objects.get().role == Role.PLATFORM_ADMIN
    assert any("create_platform_admin ended after" in line for line in maintenance.lines())
    assert not any(ADMIN["PLATFORM_ADMIN_EMAIL"] in line for line in maintenance.lines())


def test_a_connection_that_ended_between_two_events_is_made_anew(maintenance: Function) -> None:
    maintenance.invoke({"command": "housekeeping"})
    where = "datname = current_database() AND usename = 'timerecord_app' AND pid <> %s"
    others = f"FROM pg_stat_activity WHERE {where}"
    with administrator() as admin:
        # A function or a thread of before may have left one that is about to go.
        assert admin.execute(f"SELECT pg_terminate_backend(pid) {others}", [backend()]).fetchall()
        over_by = time.monotonic() + SECONDS
        while still := admin.execute(f"SELECT pid {others}", [backend()]).fetchall():
            assert time.monotonic() < over_by, still
    assert maintenance.invoke({"command": "housekeeping"})["command"] == "housekeeping"


def backend() -> int:
    """Return the server's process for the connection of the test."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (found,) = cursor.fetchone()
    return int(found)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"command": "flush"},
        {"command": "shell", "options": {"command": "print()"}},
        {"command": ["housekeeping"]},
        {"command": "housekeeping", "options": {"tenant": "x"}},
        {"command": "housekeeping", "options": ["--help"]},
        {"command": "verify_history", "options": {"settings": "os"}},
        {"command": "verify_history", "options": {"tenant": "--help"}},
        {"command": "verify_history", "options": {"tenant": ["x"]}},
        {"command": "verify_history", "turn": {"at": "2026-11-20T16:15:00", "minutes": 15, "of": 20}},
        {"command": "verify_history", "turn": {"at": "2026-11-20T16:15:00Z", "minutes": 0, "of": 20}},
        {"command": "verify_history", "turn": "3/20"},
        {"command": "housekeeping", "turn": {"at": "2026-11-20T16:15:00Z", "minutes": 15, "of": 20}},
        {"command": "purge_expired", "options": {"confirm": "yes"}},
        {"command": "purge_expired", "options": {"manifest": "/tmp/x"}},
        {"command": "purge_expired", "options": {"manifest_of": "../x"}},
        {"command": "export_anchor", "options": {"into": "/tmp"}},
        {"command": "set_retention", "options": {"tenant": "x", "months": True, "reason": "x"}},
    ],
)
def test_nothing_else_can_be_called(maintenance: Function, employee: User, event: dict[str, object]) -> None:
    with pytest.raises(FunctionError, match="MaintenanceError"):
        maintenance.invoke(event)
    assert User.objects.count() == 1


def test_an_option_is_handed_on(maintenance: Function) -> None:
    with pytest.raises(FunctionError, match="There is no tenant nowhere"):
        maintenance.invoke({"command": "verify_history", "options": {"tenant": "nowhere"}})


def test_one_that_is_out_of_time_says_so_and_the_next_one_works(
    maintenance: Function, employee: User
) -> None:
    """A lock that somebody holds makes it wait."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE errands IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(FunctionError, match="housekeeping was out of time"):
            maintenance.invoke({"command": "housekeeping"}, seconds=4)
        cursor.execute("ROLLBACK")
    assert maintenance.invoke({"command": "housekeeping"})["command"] == "housekeeping"


def test_out_of_time_at_the_edge_of_a_transaction_the_process_goes_on(
    static_root: Path, tmp_path: Path
) -> None:
    variables = {**deployed(static_root), "DATABASE_URL": database_url()}
    with function("tests.aws_lambda.interrupted.handler", tmp_path / "log", variables) as found:
        with pytest.raises(FunctionError, match="housekeeping was out of time"):
            found.invoke({"command": "housekeeping", "interrupted": True})
        assert found.lines().count(AT_THE_EDGE) == 1
        assert found.invoke({"command": "housekeeping"})["command"] == "housekeeping"


# --- what is kept -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evidence(s3_server: str) -> Iterator[Any]:
    """A bucket as template.yaml makes it: with versions, and a lock on each."""
    with s3_client(s3_server) as client:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=PLACE, ObjectLockEnabledForBucket=True)
        client.create_bucket(Bucket=EXPORTS, CreateBucketConfiguration=PLACE)
        yield client


@pytest.fixture(scope="module")
def keeping(
    static_root: Path,
    django_db_setup: None,
    s3_server: str,
    evidence: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Function]:
    """The function, with that bucket, and one for exports."""
    buckets = {"EVIDENCE_BUCKET": BUCKET, "EXPORT_BUCKET": EXPORTS, "AWS_ENDPOINT_URL_S3": s3_server}
    variables = {**deployed(static_root), **buckets, "DATABASE_URL": database_url()}
    with function(MAINTENANCE, tmp_path_factory.mktemp("keeping") / "log", variables) as found:
        yield found


def kept(client: Any, prefix: str) -> dict[str, str]:
    """Return what the bucket has: the text of each version, by name and number."""
    found: dict[str, str] = {}
    for version in client.list_object_versions(Bucket=BUCKET, Prefix=prefix).get("Versions", []):
        answer = client.get_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        found[f"{version['Key']} {len(found)}"] = answer["Body"].read().decode()
    return found


def turn(of: int, at: str = "2026-11-20T16:15:00Z") -> dict[str, object]:
    return {"at": at, "minutes": 15, "of": of}


def test_an_anchor_of_each_tenant_is_in_the_answer_and_kept_once(
    keeping: Function, evidence: Any, make_session: MakeSession, tenant: Tenant
) -> None:
    make_session("2026-10-20 09:00", "2026-10-20 18:00")
    other = Tenant.objects.create(name="雨雲商店")
    first, again = (keeping.invoke({"command": "export_anchor", "turn": turn(1)}) for _ in range(2))
    month = last_month(tenant)
    for uid in (tenant.tenant_uid, other.tenant_uid):
        (document,) = [d for d in first["documents"] if uid in d["name"]]
        assert document["text"].startswith(f"anchor {uid} {month} until ")
        digest = document["text"].splitlines()[1].removeprefix("digest ")
        assert document["name"] == f"anchors/{uid}/{month}-{digest}.txt"
        assert list(kept(evidence, f"anchors/{uid}/").values()) == [document["text"]]
        assert any(digest in line for line in first["said"])
        assert f"{document['name']}: the bucket has one already, which stays as it is" in again["said"]
        assert any(digest in line for line in keeping.lines())  # also in the log


def test_an_anchor_from_before_is_checked_in_an_event(keeping: Function, employee: User) -> None:
    assert employee.tenant
    asked = {"tenant": employee.tenant.tenant_uid, "month": "2026-10"}
    (document,) = keeping.invoke({"command": "export_anchor", "options": asked})["documents"]
    digest = document["text"].splitlines()[1].removeprefix("digest ")
    for known in (document["text"], digest):
        found = keeping.invoke({"command": "export_anchor", "options": {**asked, "check": known}})
        assert "fits" in found["said"][-1]
        assert found["documents"] == []
    with pytest.raises(FunctionError, match="the digest differs"):
        keeping.invoke({"command": "export_anchor", "options": {**asked, "check": "0" * 64}})
    with pytest.raises(FunctionError, match="this is no anchor"):
        keeping.invoke({"command": "export_anchor", "options": {**asked, "check": "/etc/passwd"}})


def test_a_purge_keeps_its_manifest_which_can_be_checked(
    keeping: Function, evidence: Any, employee: User
) -> None:
    purge = {"command": "purge_expired", "options": {"confirm": True}, "turn": turn(1)}
    old_event()
    found = keeping.invoke(purge)
    run = found["said"][0].removeprefix("Run ")
    (document,) = found["documents"]
    assert document["name"] == f"manifests/{run}.json"
    assert json.loads(document["text"])["run"] == run
    assert list(kept(evidence, f"manifests/{run}").values()) == [document["text"]]
    checked = keeping.invoke({"command": "purge_expired", "options": {"check": document["text"]}})
    assert checked["said"][-1].endswith(f"the database tells the same of the run {run}.")
    once_more = keeping.invoke({"command": "purge_expired", "options": {"manifest_of": run}})
    assert once_more["documents"] == found["documents"]
    assert len(kept(evidence, f"manifests/{run}")) == 1
    assert any(f"Run {run} of purge_expired" in line for line in keeping.lines())
    # The next night there is nothing to remove, and so nothing to keep.
    assert keeping.invoke(purge)["documents"] == []


def test_a_purge_that_is_out_of_time_leaves_a_manifest_of_what_is_gone(
    static_root: Path, s3_server: str, evidence: Any, tmp_path: Path, tenant: Tenant
) -> None:
    for _ in range(3):
        old_event(Tenant.objects.create(name="雨雲商店"))
    bucket = {"EVIDENCE_BUCKET": BUCKET, "AWS_ENDPOINT_URL_S3": s3_server}
    variables = {**deployed(static_root), **bucket, "DATABASE_URL": database_url()}
    purge = {"command": "purge_expired", "options": {"confirm": True}, "turn": turn(1)}
    before = kept(evidence, "manifests/")
    with (
        function("tests.aws_lambda.interrupted.handler", tmp_path / "log", variables) as found,
        pytest.raises(FunctionError, match=r"was out of time.*Broken off at .* Not reached: ") as told,
    ):
        found.invoke({**purge, "interrupted": "after a tenant"})
    (manifest,) = set(kept(evidence, "manifests/").values()) - set(before.values())
    gone = [entry["tenant"] for entry in json.loads(manifest)["tenants"]]
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_events WHERE at < '2002-01-01'")
        assert cursor.fetchone() == (3 - len(gone),)
    assert json.loads(manifest)["run"] in str(told.value)


def test_without_a_bucket_the_answer_has_it(maintenance: Function, employee: User) -> None:
    old_event()
    found = maintenance.invoke({"command": "purge_expired", "options": {"confirm": True}})
    (document,) = found["documents"]
    assert json.loads(document["text"])["digest"]
    assert document["sha256"] == hashlib.sha256(document["text"].encode()).hexdigest()


def test_what_the_bucket_does_not_take_is_an_error(
    static_root: Path, s3_server: str, tmp_path: Path, employee: User
) -> None:
    nothing = {"EVIDENCE_BUCKET": "no-such-bucket", "AWS_ENDPOINT_URL_S3": s3_server}
    variables = {**deployed(static_root), **nothing, "DATABASE_URL": database_url()}
    old_event()
    with function(MAINTENANCE, tmp_path / "log", variables) as found:
        with pytest.raises(FunctionError, match=r"manifests/.* could not be kept.*Run "):
            found.invoke({"command": "purge_expired", "options": {"confirm": True}})
        assert found.invoke({"command": "purge_expired", "options": {"confirm": True}})["documents"] == []


def old_event(tenant: Tenant | None = None) -> None:
    """Have the audit trail tell of something that is older than any retention."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_events (at, tenant_id, kind, actor_name, door, after)"
            " VALUES ('2001-01-01 00:00+00', %s, 'account.locked', '', 'command', '{}')",
            [tenant.pk if tenant else None],
        )


def test_a_retention_is_set(maintenance: Function, tenant: Tenant) -> None:
    asked: dict[str, object] = {"tenant": tenant.tenant_uid, "months": 72, "reason": "--reason=--help"}
    found = maintenance.invoke({"command": "set_retention", "options": asked})
    assert found["said"] == [f"{tenant.tenant_uid}: 60 months before, 72 months now."]
    tenant.refresh_from_db()
    assert tenant.retention_months == 72
    with pytest.raises(FunctionError, match="set_retention failed"):
        maintenance.invoke({"command": "set_retention", "options": {**asked, "months": 12}})


def test_turns_after_each_other_have_everybody_once(maintenance: Function, employee: User) -> None:
    """Twenty turns in a row, a quarter of an hour apart, have everybody once."""
    others = [Tenant.objects.create(name=f"商店 {number}") for number in range(5)]
    uids = [tenant.tenant_uid for tenant in (employee.tenant, *others) if tenant]
    begins = dt.datetime(2026, 11, 20, 16, tzinfo=dt.UTC)
    found: list[str] = []
    for number in range(20):
        at = (begins + number * dt.timedelta(minutes=15)).isoformat()
        asked = {"command": "export_anchor", "turn": turn(20, at)}
        found += [d["name"].split("/")[1] for d in maintenance.invoke(asked)["documents"]]
    assert sorted(found) == sorted(uids)


def test_of_much_that_was_said_the_beginning_stays(maintenance: Function, tenant: Tenant) -> None:
    """Run, 61 tenants, whoever has none, and where its manifest is: 64 lines."""
    Tenant.objects.bulk_create(Tenant(name=f"商店 {number}") for number in range(60))
    found = maintenance.invoke({"command": "purge_expired", "options": {"confirm": True}})
    assert len(found["said"]) == 51
    assert found["said"][0].startswith("Run 20")
    assert found["said"][10] == "(14 lines are in the log alone)"
    assert found["said"][-1].startswith("Its manifest: ")


def test_an_archive_goes_by_way_of_the_bucket_and_its_address_into_no_log(
    keeping: Function, make_session: MakeSession, tenant: Tenant
) -> None:
    make_session("2026-10-20 09:00", "2026-10-20 18:00")
    asked = {"tenant": tenant.tenant_uid, "reason": "the contract ends"}
    found = keeping.invoke({"command": "export_archive", "options": asked})
    content, headers = fetch(found["url"])
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert b"2026-10-20T00:00:00+00:00" in parts.read("work_sessions.csv")
        code = json.loads(parts.read("tenant.json"))["closing_code"]
    assert headers["Content-Disposition"] == f'attachment; filename="{tenant.tenant_uid}.zip"'
    assert headers["Content-Type"] == "application/zip"
    event = AuditEvent.objects.get(kind="export.archive")
    assert (event.tenant_id, event.door, event.reason) == (tenant.pk, "command", "the contract ends")
    for secret in (code, urlsplit(found["url"]).path):
        assert not any(secret in line for line in keeping.lines())
    assert found["documents"] == []  # nothing for the evidence


def test_no_archive_without_a_bucket_a_tenant_or_a_reason(maintenance: Function, keeping: Function) -> None:
    with pytest.raises(FunctionError, match="EXPORT_BUCKET is not set"):
        maintenance.invoke({"command": "export_archive", "options": {"tenant": "ten_1", "reason": "x"}})
    with pytest.raises(FunctionError, match="the following arguments are required: --tenant, --reason"):
        keeping.invoke({"command": "export_archive"})
    with pytest.raises(FunctionError, match="There is no tenant ten_1"):
        keeping.invoke({"command": "export_archive", "options": {"tenant": "ten_1", "reason": "x"}})
