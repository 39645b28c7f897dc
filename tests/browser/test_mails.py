"""Mails as somebody reads them on a phone or at a desk."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from accounts import mail
from tests.accounts.test_mail import EVERY_MAIL
from tests.browser.axe import VIOLATIONS
from tests.browser.pages import LONG_NAME, Visit
from tests.browser.test_layout import MISFITS

# What a mail is part of has the landmarks.
PAGES_ONLY = {"rules": {name: {"enabled": False} for name in ("landmark-one-main", "region")}}


@EVERY_MAIL
@pytest.mark.parametrize("language", ["ja", "en"])
def test_it_fits_and_axe_finds_nothing(
    visit: Visit, template: str, context: dict[str, object], language: str
) -> None:
    context = {
        "minutes": 10,
        **{name: f"{value}{'A' * 43}" if name == "link" else value for name, value in context.items()},
    }
    message = mail.render("a@example.com", template, context, language, LONG_NAME)
    (alternative,) = message.alternatives
    page = visit().page
    page.set_content(str(alternative[0]))
    page.evaluate(Axe().axe_script)
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(MISFITS) == []
            assert page.evaluate(VIOLATIONS, PAGES_ONLY) == []
