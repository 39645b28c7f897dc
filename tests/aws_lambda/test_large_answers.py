"""A file that is too large for Lambda goes by way of a bucket: moto's server, over HTTP."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.aws_lambda.conftest import PLACE, WEB, database_url, deployed, function, s3_client
from tests.aws_lambda.runtime import Answer, Browser, Function
from tests.aws_lambda.urls import LARGE_NAME
from tests.html import ja
from timerecord.aws import large_answers, services

pytestmark = pytest.mark.django_db(transaction=True)

BUCKET = "timerecord-exports"
SIZE = 7_000_000


@pytest.fixture(scope="module")
def s3(s3_server: str) -> str:
    """The address of an emulator in which the bucket is."""
    with s3_client(s3_server) as client:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=PLACE)
    return s3_server


@pytest.fixture(scope="module")
def web(
    static_root: Path, django_db_setup: None, s3: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    """The function of the pages, with a bucket."""
    log = tmp_path_factory.mktemp("web") / "log"
    bucket = {"EXPORT_BUCKET": BUCKET, "AWS_ENDPOINT_URL_S3": s3}
    with function(WEB, log, {**deployed(static_root), **bucket, "DATABASE_URL": database_url()}) as found:
        yield found


def fetch(url: str) -> tuple[bytes, Message]:
    with urllib.request.urlopen(url) as found:
        return found.read(), found.headers


def test_it_is_fetched_from_there_under_its_japanese_name(web: Function) -> None:
    answer = Browser(web).get(f"/large?size={SIZE}")
    assert (answer.status, answer.content) == (303, b"")
    assert {"content-type", "content-disposition", "content-encoding"} & answer.headers.keys() == set()
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    content, headers = fetch(answer.headers["location"])
    assert content == bytes(range(256)) * (SIZE // 256) + bytes(SIZE % 256)
    assert headers["Content-Disposition"] == f"attachment; filename*=utf-8''{quote(LARGE_NAME)}"
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Cache-Control"] == "private, no-store"


def test_the_address_is_signed_and_soon_over(web: Function) -> None:
    browser = Browser(web)
    first, second = (browser.get(f"/large?size={SIZE}").headers["location"] for _ in range(2))
    assert urlsplit(first).path != urlsplit(second).path
    said = parse_qs(urlsplit(first).query)
    assert said["X-Amz-Expires"] == ["300"]
    assert said["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_a_small_one_does_not_go_there(web: Function) -> None:
    answer = Browser(web).get("/large?size=1000")
    assert (answer.status, len(answer.content)) == (200, 1000)


def test_a_page_does_not_go_there(web: Function) -> None:
    answer = Browser(web).get("/large-page")
    assert answer.status == 500
    assert ja("This is too large to be sent") in answer.text


def test_head_of_such_a_file(web: Function) -> None:
    assert Browser(web).get(f"/large?size={SIZE}", method="HEAD").status == 303


def test_a_bucket_that_is_out_of_reach(
    static_root: Path, django_db_setup: None, tmp_path: Path, s3: str
) -> None:
    nothing = {"EXPORT_BUCKET": "no-such-bucket", "AWS_ENDPOINT_URL_S3": s3}
    variables = {**deployed(static_root), **nothing, "DATABASE_URL": database_url()}
    with function(WEB, tmp_path / "log", variables) as broken:
        answer: Answer = Browser(broken).get(f"/large?size={SIZE}")
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        assert "NoSuchBucket" not in answer.text
        assert any("NoSuchBucket" in line for line in broken.lines())
        assert Browser(broken).get("/healthz").status == 200


def test_on_aws_the_address_is_the_regions_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a request: a presigned address is made without asking anybody."""
    for name, value in {
        "AWS_REGION": "ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    services.forget()
    large_answers.forget()
    target = {"Bucket": BUCKET, "Key": "exports/x"}
    url = large_answers._s3().generate_presigned_url("get_object", Params=target)
    large_answers.forget()
    services.forget()
    assert url.startswith(f"https://{BUCKET}.s3.ap-northeast-1.amazonaws.com/exports/x?")
