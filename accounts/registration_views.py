"""Pages for those who are not signed in: registering, and a forgotten password."""

import logging

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import account_actions, errands, mail, throttling
from accounts.account_actions import HOUR, RESET_SECONDS, AddressTakenError, CodeError, CodeProblem
from accounts.account_forms import (
    CODE_PROBLEMS,
    NO_MAIL,
    TAKEN,
    AccountForm,
    ForgotForm,
    RegisterForm,
    ResetForm,
    too_many,
)
from accounts.mailed_links import MailedLink
from accounts.models import User
from tenants.middleware import end_transaction, visitor
from timerecord.core.sessions import StoreUnavailableError

SEE_OTHER = 303
BACKEND = "accounts.backends.EmailBackend"
RESET_LINK = MailedLink(cookie="password_reset", page="accounts:password_reset", seconds=RESET_SECONDS)
# Of 32 to the power of 16 codes; what turns out to be no guess is not counted in the end.
GUESSES, GUESS_SECONDS = 100, 600
RESETS_PER_NETWORK = 30
# All people of a tenant on one morning; more is somebody who found a code without a limit.
REGISTRATIONS_PER_NETWORK = 200

logger = logging.getLogger(__name__)


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Register with a role code, and be signed in. `?code=` fills the code in."""
    if request.user.is_authenticated:
        messages.info(request, _("You are signed in already."))
        return HttpResponseRedirect(reverse("attendance:home"))
    end_transaction(request)  # of a session that has ended: what is counted is committed at once
    form = RegisterForm(data_of(request), initial={"code": request.GET.get("code", "")[:100]})
    if request.method == "POST" and form.is_valid():
        user = _register(request, form)
        if user is not None:
            errands.soon(request)
            if not sign_in_at_once(request, user):  # the account is there: nobody has to register again
                messages.success(request, _("You are registered. Please sign in in a moment."))
                return HttpResponseRedirect(reverse("accounts:sign_in"), status=SEE_OTHER)
            messages.success(
                request,
                _(
                    "Welcome. You are registered and signed in. A mail is on its way to %(email)s; if none "
                    "arrives, please check the address in your account."
                )
                % {"email": user.email},
            )
            return HttpResponseRedirect(reverse("attendance:home"), status=SEE_OTHER)
    return form_page(request, "accounts/register.html", form)


def sign_in_at_once(request: HttpRequest, user: User) -> bool:
    """Sign in who has just chosen a password; False while sessions cannot be stored, and nothing changes."""
    try:
        login(request, user, backend=BACKEND)
    except StoreUnavailableError:
        logger.exception("Somebody who has just chosen a password could not be signed in.")
        # What this browser has stays as it is: nothing is tried again with the answer.
        request.session = type(request.session)(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        return False
    return True


def _register(request: HttpRequest, form: RegisterForm) -> User | None:
    """Register, or say at its field what keeps it from being done."""
    client = throttling.client_key(request)
    if not throttling.hit("role_code", client, limit=GUESSES, seconds=GUESS_SECONDS):
        form.add_error("code", too_many("role_code", client))
        return None
    if not throttling.hit("registered", client, limit=REGISTRATIONS_PER_NETWORK, seconds=HOUR):
        form.add_error(None, too_many("registered", client))
        return None
    user = None
    try:
        user = account_actions.register(
            **form.cleaned_data,
            language=request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) and get_language(),
            visitor=visitor(request),
        )
    except CodeError as refusal:
        form.add_error("code", CODE_PROBLEMS[refusal.problem])
        if refusal.problem is CodeProblem.UNKNOWN:
            return None  # a guess
    except AddressTakenError:
        # It tells that somebody has the address, so it stays counted.
        form.add_error("email", TAKEN)
        return None
    finally:
        if user is None:
            throttling.take_back("registered", client)
    throttling.take_back("role_code", client)
    return user


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def password_forgot(request: HttpRequest) -> HttpResponse:
    """Ask for a link to choose a new password. The answer never tells whether anybody has the address."""
    end_transaction(request)  # what is counted is committed at once
    form = ForgotForm(data_of(request))
    if request.method == "POST" and form.is_valid() and _forgot(request, form):
        return HttpResponseRedirect(reverse("accounts:password_forgot_sent"), status=SEE_OTHER)
    return form_page(request, "accounts/password_forgot.html", form)


def _forgot(request: HttpRequest, form: ForgotForm) -> bool:
    client = throttling.client_key(request)
    if not throttling.hit("reset", client, limit=RESETS_PER_NETWORK, seconds=HOUR):
        form.add_error(None, too_many("reset", client))
        return False
    try:
        mail.require_server()
    except mail.MailError:
        form.add_error(None, NO_MAIL)
        return False
    account_actions.request_reset(
        form.cleaned_data["email"],
        throttling.site_key(client),
        language=get_language() or settings.LANGUAGE_CODE,
        visitor=visitor(request),
    )
    errands.soon(request)
    return True


@login_not_required
@require_safe
def password_forgot_sent(request: HttpRequest) -> HttpResponse:
    """Say what happens now, whoever asked for whatever address."""
    return render(request, "accounts/password_forgot_sent.html", {"minutes": RESET_SECONDS // 60})


@login_not_required
@never_cache
@require_safe
def password_reset_link(request: HttpRequest, token: str) -> HttpResponse:
    """Lead to the form."""
    return RESET_LINK.follow(token) or _no_good(request)


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def password_reset(request: HttpRequest) -> HttpResponse:
    """Choose a new password by the link that was followed before."""
    token = RESET_LINK.token(request)
    user = account_actions.who_resets(token) if token else None
    if user is None:
        return _no_good(request)
    form = ResetForm(user, data_of(request))
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["new_password"]
        if account_actions.reset_password(token, password, visitor=visitor(request)) is None:
            return _no_good(request)
        logout(request)  # somebody else perhaps, whom the next page would lead to their clock
        messages.success(request, _("Your password is changed. Please sign in with it."))
        return RESET_LINK.forget(HttpResponseRedirect(reverse("accounts:sign_in"), status=SEE_OTHER))
    return form_page(request, "accounts/password_reset.html", form, account=user)


def _no_good(request: HttpRequest) -> HttpResponse:
    context = {"minutes": RESET_SECONDS // 60}
    return RESET_LINK.forget(render(request, "accounts/password_reset_no_good.html", context))


def form_page(request: HttpRequest, template: str, form: AccountForm, **context: object) -> HttpResponse:
    """Return the page of a form, with the focus where something is to be mended."""
    if form.is_bound:
        form.focus()
    return render(request, template, {"form": form, **context})


def data_of(request: HttpRequest) -> QueryDict | None:
    """Return what was sent; None by GET. An empty form is one that was sent, too."""
    return request.POST if request.method == "POST" else None
