"""Pages for those to whom an administrator had a link mailed: to choose a password, and be signed in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import account_actions
from accounts.account_forms import ResetForm
from accounts.mailed_links import MailedLink
from accounts.registration_views import SEE_OTHER, data_of, form_page, sign_in_at_once
from accounts.tokens import Purpose
from tenants.middleware import end_transaction, visitor

# Good for as long as a page stays open.
INVITATION_LINK = MailedLink(cookie="invitation", page="accounts:invitation", seconds=60 * 60)


@login_not_required
@never_cache
@require_safe
def invitation_link(request: HttpRequest, token: str) -> HttpResponse:
    """Lead to the form."""
    return INVITATION_LINK.follow(token) or _no_good(request)


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest) -> HttpResponse:
    """Choose a password by the link that was followed before, and be signed in with it."""
    end_transaction(request)  # of whoever is signed in here: what follows is somebody else's
    token = INVITATION_LINK.token(request)
    user = account_actions.who_resets(token, Purpose.INVITE) if token else None
    if user is None:
        return _no_good(request)
    form = ResetForm(user, data_of(request))
    if request.method == "POST" and form.is_valid():
        password, came_from = form.cleaned_data["new_password"], visitor(request)
        user = account_actions.reset_password(token, password, purpose=Purpose.INVITE, visitor=came_from)
        if user is None:
            return _no_good(request)
        if not sign_in_at_once(request, user):  # the link is used up: nobody has to follow it again
            messages.success(request, _("Your password is set. Please sign in in a moment."))
            return INVITATION_LINK.forget(HttpResponseRedirect(reverse("accounts:sign_in"), status=SEE_OTHER))
        messages.success(request, _("Welcome. Your password is set, and you are signed in."))
        return INVITATION_LINK.forget(HttpResponseRedirect(reverse("attendance:home"), status=SEE_OTHER))
    return form_page(request, "accounts/invitation.html", form, account=user)


def _no_good(request: HttpRequest) -> HttpResponse:
    return INVITATION_LINK.forget(render(request, "accounts/invitation_no_good.html"))
