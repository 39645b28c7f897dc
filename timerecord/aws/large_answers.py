"""Files that are too large for Lambda to hand over: by way of a bucket, for some minutes."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from timerecord.aws import services
from timerecord.core.sessions import StoreUnavailableError

SECONDS: Final = 300  # that the address is good for; the bucket's rule removes the file within days
SECONDS_OF_FILE: Final = 3600  # longer than that, a role's own rights may not last
PREFIX: Final = "exports/"

_client: Any = None


def url_of(headers: Mapping[str, str], body: bytes) -> str:
    """Keep a file in EXPORT_BUCKET, and return the address at which whoever has it gets it for SECONDS.

    Of the headers of its answer those stay that say what it is and how it is called. Nobody can guess the
    address: it is signed. StoreUnavailableError if the bucket does not take it.
    """
    kept = {"ContentType": "Content-Type", "ContentDisposition": "Content-Disposition"}
    named = {key: headers[name] for key, name in kept.items() if name in headers}
    return _url(body, named, SECONDS)


def url_of_file(path: Path, content_type: str) -> str:
    """Keep a file of up to 5 GB likewise, under its own name, for SECONDS_OF_FILE; not through memory."""
    named = {"ContentType": content_type, "ContentDisposition": f'attachment; filename="{path.name}"'}
    with path.open("rb") as body:
        return _url(body, named, SECONDS_OF_FILE)


def _url(body: bytes | IO[bytes], named: Mapping[str, str], seconds: int) -> str:
    target = {"Bucket": settings.EXPORT_BUCKET, "Key": f"{PREFIX}{secrets.token_urlsafe(24)}"}
    client = _s3()
    try:
        client.put_object(**target, Body=body, CacheControl="private, no-store", **named)
        url: str = client.generate_presigned_url("get_object", Params=target, ExpiresIn=seconds)
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError(f"S3: {error}") from error
    return url


def _s3() -> Any:
    """Return the process's client: made when it is needed, for most processes never need one."""
    global _client
    if _client is None:
        # Only the region's own address is reached without a redirect to it, and through a VPC's endpoint.
        _client = services.client(
            "s3", read_seconds=10, signature_version="s3v4", s3={"addressing_style": "virtual"}
        )
    return _client


def forget() -> None:
    """Make another client for the next one."""
    global _client
    _client = None
