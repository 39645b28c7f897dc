"""What is kept where nobody who can write to the database reaches it: anchors and manifests, in a bucket."""

from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from timerecord.aws import services

# What the bucket has, by what it is; the function's role may write there, and do nothing else.
PREFIXES: Final = ("anchors/", "manifests/")
READ_SECONDS: Final = 30.0


class NotKeptError(Exception):
    """The bucket did not take it."""


def keep(documents: dict[str, bytes]) -> list[str]:
    """Put documents into EVIDENCE_BUCKET, by their names; return those that are there already, and stay.

    NotKeptError, once all were tried, which names those that the bucket does not take.
    """
    if not documents:
        return []
    # Not kept: it is needed once a night, and only the region's own address is reached through the endpoint.
    client = services.client(
        "s3", read_seconds=READ_SECONDS, signature_version="s3v4", s3={"addressing_style": "virtual"}
    )
    there, problems = [], []
    try:
        for name, body in documents.items():
            try:
                _put(client, name, body)
            except (BotoCoreError, ClientError) as error:
                response = getattr(error, "response", {})
                if (
                    response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                    == HTTPStatus.PRECONDITION_FAILED
                ):
                    there.append(name)
                else:
                    problems.append(f"{name} could not be kept: {error}")
    finally:
        client.close()
    if problems:
        raise NotKeptError("; ".join(problems))
    return there


def _put(client: Any, name: str, body: bytes) -> None:
    # A bucket that locks what it has wants a checksum; S3 compares it with what arrived.
    client.put_object(
        Bucket=settings.EVIDENCE_BUCKET,
        Key=name,
        Body=body,
        ContentType="application/json" if name.endswith(".json") else "text/plain; charset=utf-8",
        ChecksumAlgorithm="SHA256",
        IfNoneMatch="*",
    )
