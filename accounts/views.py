from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse

from accounts import throttling
from accounts.forms import SignInForm
from tenants.middleware import end_transaction
from timerecord.core.errors import is_question, too_many_requests


class SignInView(LoginView):
    """The page on which people sign in; it leads back to the page that they wanted."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign in; 429 with the time to wait after too many failures from the same network."""
        # What is counted is committed before the password is looked at.
        end_transaction(request)
        try:
            return super().post(request, *args, **kwargs)
        except throttling.TooManyError as refusal:
            return too_many_requests(request, refusal.seconds)

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again; the focus is where something is wrong, or where to go on."""
        wrong = [name for name in form.fields if name in form.errors]
        attrs = form.fields[(wrong or ["password"])[0]].widget.attrs
        attrs["autofocus"] = True
        if not wrong:
            attrs["aria-describedby"] = "form_error"
        return super().form_invalid(form)

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
