"""Pages for those who are not signed in: registering, and a forgotten password."""

import re

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
from accounts.models import User
from tenants.middleware import end_transaction, visitor
from timerecord.core.sessions import StoreUnavailableError

SEE_OTHER = 303
BACKEND = "accounts.backends.EmailBackend"
# Carries the token of a mailed link from the link to the form, so that the form's address has none.
RESET_COOKIE = "password_reset"
# What tokens.issue makes. Anything else is no link of ours, and might not fit into a cookie.
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
# Of 32 to the power of 16 codes; what turns out to be no guess is not counted in the end.
GUESSES, GUESS_SECONDS = 100, 600
RESETS_PER_NETWORK = 30
# All people of a tenant on one morning; more is somebody who found a code without a limit.
REGISTRATIONS_PER_NETWORK = 200


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
    form = RegisterForm(_data(request), initial={"code": request.GET.get("code", "")[:100]})
    if request.method == "POST" and form.is_valid():
        user = _register(request, form)
        if user is not None:
            errands.soon(request)
            try:
                login(request, user, backend=BACKEND)
            except StoreUnavailableError:  # the account is there: nobody has to register again
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
    return _form(request, "accounts/register.html", form)


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
    form = ForgotForm(_data(request))
    if request.method == "POST" and form.is_valid() and _forgot(request, form):
        return HttpResponseRedirect(reverse("accounts:password_forgot_sent"), status=SEE_OTHER)
    return _form(request, "accounts/password_forgot.html", form)


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
        client,
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
    """Take the token out of the address: nothing that the form's page loads or links to gets to know it."""
    if not TOKEN.fullmatch(token):
        return _no_good(request)
    response = HttpResponseRedirect(reverse("accounts:password_reset"))
    response.set_cookie(
        RESET_COOKIE,
        token,
        max_age=RESET_SECONDS,
        path=reverse("accounts:password_reset"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    response["Referrer-Policy"] = "no-referrer"
    return response


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def password_reset(request: HttpRequest) -> HttpResponse:
    """Choose a new password by the link that was followed before."""
    token = request.COOKIES.get(RESET_COOKIE, "")
    user = account_actions.who_resets(token) if token else None
    if user is None:
        return _no_good(request)
    form = ResetForm(user, _data(request))
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["new_password"]
        if account_actions.reset_password(token, password, visitor=visitor(request)) is None:
            return _no_good(request)
        logout(request)  # somebody else perhaps, whom the next page would lead to their clock
        messages.success(request, _("Your password is changed. Please sign in with it."))
        response: HttpResponse = HttpResponseRedirect(reverse("accounts:sign_in"), status=SEE_OTHER)
        response.delete_cookie(RESET_COOKIE, path=reverse("accounts:password_reset"), samesite="Lax")
        return response
    return _form(request, "accounts/password_reset.html", form, account=user)


def _no_good(request: HttpRequest) -> HttpResponse:
    response = render(request, "accounts/password_reset_no_good.html", {"minutes": RESET_SECONDS // 60})
    response.delete_cookie(RESET_COOKIE, path=reverse("accounts:password_reset"), samesite="Lax")
    return response


def _form(request: HttpRequest, template: str, form: AccountForm, **context: object) -> HttpResponse:
    if form.is_bound:
        form.focus()
    return render(request, template, {"form": form, **context})


def _data(request: HttpRequest) -> QueryDict | None:
    """Return what was sent; None by GET. An empty form is one that was sent, too."""
    return request.POST if request.method == "POST" else None
