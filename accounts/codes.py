"""Role codes: how a tenant's admins make and disable them, and what leads to registering with one."""

import datetime as dt
import io
import secrets
from typing import Final, Literal
from urllib.parse import urlencode

from django.db import models
from django.db.models import Case, F, Value, When
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import mail
from accounts.models import RoleCode, User
from tenants.models import Tenant

# Without what is mistaken for something else: 32 characters, so 16 of them are 80 bits.
ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LENGTH: Final = 16
GROUP: Final = 4


class CodeState(models.TextChoices):
    """Whether somebody can register with a code, or the first reason why not."""

    DISABLED = "disabled", _("disabled")
    EXPIRED = "expired", _("expired")
    USED_UP = "used_up", _("used up")
    ACTIVE = "active", _("active")


def state_at(moment: dt.datetime) -> Case:
    """Return the expression of the state that a code has at a moment."""
    return Case(
        When(is_disabled=True, then=Value(CodeState.DISABLED.value)),
        When(expires_at__lte=moment, then=Value(CodeState.EXPIRED.value)),
        When(usage_count__gte=F("max_uses"), then=Value(CodeState.USED_UP.value)),
        default=Value(CodeState.ACTIVE.value),
        output_field=models.CharField(),
    )


def create(tenant: Tenant, by: User, *, expires_at: dt.datetime | None, max_uses: int | None) -> RoleCode:
    """Make a code for the tenant, in the caller's scope. Without an end, or a limit, it has none."""
    return RoleCode.objects.create(
        tenant=tenant,
        created_by=by,
        code="".join(secrets.choice(ALPHABET) for _n in range(LENGTH)),
        expires_at=expires_at,
        max_uses=max_uses,
    )


def disable(code: RoleCode) -> bool:
    """Let nobody register with a code any more; False if that was so before. Who has registered stays."""
    return bool(RoleCode.objects.in_scope().filter(pk=code.pk, is_disabled=False).update(is_disabled=True))


def grouped(code: str) -> str:
    """Return a code as people read it: in groups of four."""
    return "-".join(code[n : n + GROUP] for n in range(0, len(code), GROUP))


def link(code: str) -> str:
    """Return the address of the page on which somebody registers with a code."""
    return mail.link(f"{reverse('accounts:register')}?{urlencode({'code': code})}")


def qr_code(code: str, kind: Literal["svg", "png"]) -> bytes:
    """Return the link as a QR code, black on white with its margin, for screens and for paper."""
    image = io.BytesIO()
    import segno  # only here: no start pays for what an admin prints once

    made = segno.make(link(code), error="m", micro=False)
    if kind == "svg":
        made.save(image, kind="svg", scale=8, light="#fff", title=grouped(code), omitsize=False)
    else:
        made.save(image, kind="png", scale=12, light="#fff")
    return image.getvalue()
