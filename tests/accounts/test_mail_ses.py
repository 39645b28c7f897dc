"""Mail through Amazon SES, as the settings name it: against moto's emulator, over HTTP."""

from collections.abc import Iterator

import boto3
import pytest
from django.core import mail
from django.test import override_settings
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends

from accounts.mail import render, require_server
from timerecord.env import Environment

REGION = "ap-northeast-1"


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    try:
        boto3.client("sesv2", REGION).create_email_identity(EmailIdentity="timerecord.example")
        yield
    finally:
        server.stop()


@pytest.mark.usefixtures("ses")
def test_a_mail_gets_there_as_text_and_html() -> None:
    named = Environment({"EMAIL_URL": f"ses://{REGION}?configuration_set=bounces"}).mail("EMAIL_URL")
    with override_settings(**named, DEFAULT_FROM_EMAIL="timerecord <clock@timerecord.example>"):
        require_server()
        render("hanako@example.com", "locked", {"minutes": 15, "forgot": "https://x"}, "ja").send()
    (sent,) = (message for regions in ses_backends.values() for message in regions[REGION].sent_messages)
    assert sent.source == "clock@timerecord.example"
    assert set(sent.destinations) == {"hanako@example.com"}
    assert "multipart/alternative" in sent.raw_data
    assert "\nSubject: =?utf-8?" in sent.raw_data  # a Japanese one
    assert "\nAuto-Submitted: auto-generated" in sent.raw_data
    assert not hasattr(mail, "outbox") or mail.outbox == []
