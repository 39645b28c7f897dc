from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView

from accounts.forms import SignInForm
from timerecord.core.errors import is_question


class SignInView(LoginView):
    """The page on which people sign in; it leads back to the page that they wanted."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:
        """Return the page that was wanted; "" without one, or where it would lead in circles."""
        url = super().get_redirect_url()
        return "" if url.partition("?")[0] == self.request.path else url

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add whether a punch waits to be asked about."""
        return super().get_context_data(punch_waits=is_question(self.get_redirect_url()), **kwargs)


class SignOutView(LogoutView):
    """Ends the session, by POST only; of one that has ended already there is nothing left to ask."""

    next_page = "accounts:sign_in"


sign_in = SignInView.as_view()
sign_out = login_not_required(SignOutView.as_view())
