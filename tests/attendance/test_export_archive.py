"""The archive of a tenant as a file that a command writes."""

import csv
import errno
import io
import shutil
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEvent
from tenants.models import Tenant, TenantStatus
from tests.attendance.test_platform_pages import at, closing_code
from tests.conftest import MakeSession, MakeUser

pytestmark = pytest.mark.django_db


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "archive.zip"


def write(tenant: Tenant, output: Path, reason: str = "解約のため") -> None:
    call_command("export_archive", tenant=tenant.tenant_uid, output=str(output), reason=reason)


def test_it_is_the_one_that_closes_the_tenant(
    platform: Client,
    tenant: Tenant,
    other_tenant: Tenant,
    make_user: MakeUser,
    make_session: MakeSession,
    output: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_session("2026-11-02 09:00", "2026-11-02 17:30")
    make_session("2026-11-02 09:00", "2026-11-02 18:30", user=make_user(tenant=other_tenant))
    write(tenant, output)
    assert capsys.readouterr().out == f"{output}: {output.stat().st_size:,} bytes.\n"
    assert output.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(output) as parts:
        text = parts.read("work_sessions.csv").decode("utf-8-sig")
    (session,) = list(csv.reader(io.StringIO(text)))[1:]
    assert session[3] == "2026-11-02T08:30:00+00:00"
    event = AuditEvent.objects.get(kind="export.archive")
    assert (event.tenant_id, event.door, event.reason) == (tenant.pk, "command", "解約のため")
    platform.post(at(tenant, "suspend"), {"reason": "x"})
    with output.open("rb") as file:
        code = closing_code(file)
    said = {"reason": "x", "name": "青空商店", "code": code}
    assert platform.post(at(tenant, "close"), said).status_code == 303
    tenant.refresh_from_db()
    assert tenant.status == TenantStatus.CLOSED


def test_what_is_there_already_stays(tenant: Tenant, output: Path) -> None:
    output.write_text("another")
    with pytest.raises(CommandError, match="File exists"):
        write(tenant, output)
    assert output.read_text() == "another"
    assert not AuditEvent.objects.filter(kind="export.archive").exists()


def test_where_nothing_can_be_written(tenant: Tenant, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        write(tenant, tmp_path / "nowhere" / "archive.zip")
    assert not AuditEvent.objects.filter(kind="export.archive").exists()


def test_what_breaks_off_leaves_no_file(
    tenant: Tenant, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)  # no disk is full here
    with pytest.raises(CommandError, match="No space left"):
        write(tenant, output)
    assert not output.exists()
    assert not AuditEvent.objects.filter(kind="export.archive").exists()


def test_not_without_a_reason(tenant: Tenant, output: Path) -> None:
    with pytest.raises(CommandError, match="Say why"):
        write(tenant, output, reason=" ")
    assert not output.exists()


def test_of_no_tenant(output: Path) -> None:
    with pytest.raises(CommandError, match="There is no tenant ten_0"):
        call_command("export_archive", tenant="ten_0", output=str(output), reason="x")
    assert list(output.parent.iterdir()) == []
