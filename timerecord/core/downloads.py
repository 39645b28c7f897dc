"""Files as answers."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header


def download(content: bytes, content_type: str, name: str, *, as_attachment: bool = True) -> HttpResponse:
    """Return a file to be saved, or to be shown; its name may have any characters (RFC 6266)."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(as_attachment, name) or ""
    return response
