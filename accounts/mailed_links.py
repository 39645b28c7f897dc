"""Links that are mailed to somebody: how the token gets from the link to the form's page."""

import dataclasses
import re
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

# What tokens.issue makes. Anything else is no link of ours, and might not fit into a cookie.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclasses.dataclass(frozen=True)
class MailedLink:
    """A kind of link. A cookie, which only the form's page gets, carries the token, for `seconds`."""

    cookie: str
    page: str
    seconds: int

    def follow(self, token: str) -> HttpResponse | None:
        """Take the token out of the address: nothing that the page loads or links to gets to know it.

        None if it is no link of ours.
        """
        if not _TOKEN.fullmatch(token):
            return None
        path = reverse(self.page)
        response = HttpResponseRedirect(path)
        response.set_cookie(
            self.cookie,
            token,
            max_age=self.seconds,
            path=path,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        response["Referrer-Policy"] = "no-referrer"
        return response

    def token(self, request: HttpRequest) -> str:
        """Return the token of the link that this browser followed; "" without one."""
        return request.COOKIES.get(self.cookie, "")

    def forget(self, response: HttpResponse) -> HttpResponse:
        """Have the browser forget the token: it is used, or no good."""
        response.delete_cookie(self.cookie, path=reverse(self.page), samesite="Lax")
        return response
