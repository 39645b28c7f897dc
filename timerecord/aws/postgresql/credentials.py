"""What a connection to RDS or RDS Proxy is opened with: a token that IAM believes, or what a secret says."""

import json
from typing import Any, Final

from botocore.awsrequest import prepare_request_dict
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from django.db import OperationalError

from timerecord.aws import services

# AWS looks at a token when a connection is opened, and takes none that is older.
TOKEN_SECONDS: Final = 15 * 60


def token(host: str, port: int, user: str, region: str) -> str:
    """Return the password of 15 minutes with which this process's role opens a connection as `user`.

    Signed here, without asking AWS: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html.
    It is good for this host, port and user alone: for RDS Proxy, the proxy's own. OperationalError if the
    process has no credentials.
    """
    session = services.session()
    credentials = session.get_credentials()
    if credentials is None:
        raise OperationalError("No AWS credentials are there to sign a token for the database with.")
    events = session.get_component("event_emitter")
    signer = RequestSigner(ServiceId("RDS"), region, "rds-db", "v4", credentials, events)
    request: dict[str, Any] = {
        "url_path": "/",
        "query_string": "",
        "headers": {},
        "body": {"Action": "connect", "DBUser": user},
        "method": "GET",
    }
    prepare_request_dict(request, f"https://{host}:{port}")
    url: str = signer.generate_presigned_url(
        request, operation_name="connect", region_name=region, expires_in=TOKEN_SECONDS, signing_name="rds-db"
    )
    return url.removeprefix("https://")


def of_secret(secret: str, region: str) -> tuple[str, str]:
    """Return user and password from a secret of Secrets Manager, as it is now.

    `secret` is its name or ARN; its text is JSON with `username` and `password`, as RDS writes it.
    OperationalError, without a word of what is in it, if it cannot be had or says something else.
    """
    client = services.client("secretsmanager", region=region)
    try:
        text = client.get_secret_value(SecretId=secret)["SecretString"]
        said = json.loads(text)
        return str(said["username"]), str(said["password"])
    except (BotoCoreError, ClientError) as error:
        raise OperationalError(f"The secret {secret} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError):
        raise OperationalError(f"The secret {secret} is not JSON with username and password.") from None
    finally:
        client.close()
