"""What Lambda calls for every page: events of an API Gateway HTTP API, payload 2.0, stage `$default`.

All that a first request would make is made while this module is imported: Lambda then has a full CPU.
docs/adr/0013-lambda.md.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")

from apig_wsgi import make_lambda_handler
from django.core.wsgi import get_wsgi_application

from timerecord.aws import start
from timerecord.aws.answers import fitting

application = fitting(get_wsgi_application())
start.keep_values_out_of_the_log()
start.make_ready()
start.register_snapshot_hooks()

# Everything goes as base64: what is text decides nobody, and nothing but UTF-8 would go as text.
_answer = make_lambda_handler(application, non_binary_content_type_prefixes=())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the answer to one request.

    ValueError for an event of another kind: in those the client's own header names its network address.
    """
    if event.get("version") != "2.0" or "http" not in event.get("requestContext", {}):
        raise ValueError("not an event of an HTTP API with payload format 2.0")
    return _answer(event, context)
