"""Pages on which people look after their own account."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import LANGUAGE_QUERY_PARAMETER
from django.views.i18n import set_language as set_language_cookie

from accounts import account_actions, audit, mail, sessions, throttling
from accounts.account_actions import CODE_SECONDS
from accounts.account_forms import (
    NO_MAIL,
    AccountForm,
    ChangePasswordForm,
    EmailCodeForm,
    EmailForm,
    NameForm,
    too_many,
)
from accounts.models import User
from timerecord.core.errors import is_question
from timerecord.core.sessions import ORIGIN_KEY

SEE_OTHER = 303
GUESSES, GUESS_SECONDS = 10, 900
WRONG = gettext_lazy("This is not your current password.")


@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show what the signed-in person can change."""
    user = _user(request)
    return render(
        request,
        "accounts/account.html",
        {"has_placeholder": mail.is_placeholder(user.email), "tenant": user.tenant},
    )


@never_cache
@sensitive_post_parameters("current_password", "new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def password_change(request: HttpRequest) -> HttpResponse:
    """Change the password; also where somebody has to who was given one. `next` is where it leads then."""
    user = _user(request)
    following = _following(request)
    form = ChangePasswordForm(user, _data(request))
    if request.method == "POST" and form.is_valid() and _change_password(request, user, form):
        messages.success(request, _("Your password is changed. You have been signed out everywhere else."))
        return _to(following or reverse("accounts:account"))
    return _form(
        request,
        "accounts/password_change.html",
        form,
        next=following,
        punch_waits=is_question(following),
        is_first=user.must_change_password,
    )


def _change_password(request: HttpRequest, user: User, form: ChangePasswordForm) -> bool:
    if not _current_password_fits(request, user, form):
        return False
    own = sessions.own_ids(request)
    if not account_actions.change_password(user, form.cleaned_data["new_password"], own_sessions=own):
        form.add_error("current_password", WRONG)  # it was another one just before
        return False
    sessions.go_on(request, user)
    return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account_name(request: HttpRequest) -> HttpResponse:
    """Change one's name."""
    user = _user(request)
    form = NameForm(_data(request), initial={"last_name": user.last_name, "first_name": user.first_name})
    if request.method == "POST" and form.is_valid():
        account_actions.change_name(user, **form.cleaned_data)
        messages.success(request, _("Your name is changed."))
        return _to(reverse("accounts:account"))
    return _form(request, "accounts/account_name.html", form)


@never_cache
@sensitive_post_parameters("current_password")
@require_http_methods(["GET", "HEAD", "POST"])
def account_email(request: HttpRequest) -> HttpResponse:
    """Ask for a code to be mailed to a new address."""
    user = _user(request)
    pending = account_actions.pending_email(user)
    form = EmailForm(user, _data(request), initial=pending.token.data if pending else None)
    if request.method == "POST" and form.is_valid() and _current_password_fits(request, user, form):
        who = ("email_change", str(user.pk))
        if not throttling.hit(*who, limit=5, seconds=3600):
            form.add_error(None, too_many(*who))
        else:
            try:
                account_actions.request_email_change(user, form.cleaned_data["email"])
            except mail.MailError:
                form.add_error(None, NO_MAIL)
            else:
                return _to(reverse("accounts:account_email_confirm"))
    return _email_form(request, user, form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account_email_confirm(request: HttpRequest) -> HttpResponse:
    """Confirm a new address by the code that was mailed to it."""
    user = _user(request)
    pending = account_actions.pending_email(user)
    if pending is None:
        _tell_to_ask_anew(request)
        return _to(reverse("accounts:account_email"))
    form = EmailCodeForm(_data(request))
    if request.method == "POST" and form.is_valid():
        if account_actions.confirm_email_change(user, form.cleaned_data["code"]):
            messages.success(request, _("Your e-mail address is changed. Sign in with it from now on."))
            return _to(reverse("accounts:account"))
        left = account_actions.pending_email(user)
        if left is None:
            _tell_to_ask_anew(request)
            return _email_form(request, user, EmailForm(user, initial=pending.token.data))
        form.add_error("code", _wrong_code(left.tries_left))
    context = {"address": pending.token.data["email"], "minutes": CODE_SECONDS // 60}
    return _form(request, "accounts/account_email_confirm.html", form, **context)


def _wrong_code(tries_left: int) -> str:
    return ngettext(
        "That code is not right. You can try once more.",
        "That code is not right. You can try %(count)s more times.",
        tries_left,
    ) % {"count": tries_left}


def _tell_to_ask_anew(request: HttpRequest) -> None:
    # True also of a right code that was sent twice: the address below is then the new one.
    messages.warning(
        request,
        _(
            "This code no longer works: it was used, has expired, or was entered wrongly too often. Your "
            "current address is shown below; to change it, send a new code."
        ),
    )


def _email_form(request: HttpRequest, user: User, form: EmailForm) -> HttpResponse:
    return _form(
        request, "accounts/account_email.html", form, has_placeholder=mail.is_placeholder(user.email)
    )


@never_cache
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session of the signed-in person, this one too."""
    user = _user(request)
    sessions.end_all(user)
    audit.record("sessions.ended_all", user.pk)
    logout(request)
    messages.success(request, _("You are signed out everywhere."))
    return _to(reverse("accounts:sign_in"))


@login_not_required
def set_language(request: HttpRequest) -> HttpResponseBase:
    """Choose the language of the pages for this browser; who is signed in, for wherever they sign in."""
    chosen = request.POST.get(LANGUAGE_QUERY_PARAMETER, "")
    if request.method == "POST" and chosen in dict(settings.LANGUAGES) and isinstance(request.user, User):
        account_actions.choose_language(request.user, chosen)
    return set_language_cookie(request)


def _current_password_fits(request: HttpRequest, user: User, form: AccountForm) -> bool:
    """Whether the password is the user's; says so at its field if not. Guesses are counted.

    Those of this session: whoever found a phone unlocked must not keep its owner from ending that session.
    """
    who = ("current_password", request.session.get(ORIGIN_KEY) or request.session.session_key)
    if not throttling.hit(*who, limit=GUESSES, seconds=GUESS_SECONDS):
        form.add_error("current_password", too_many(*who))
        return False
    hashed = user.password
    if not user.check_password(form.cleaned_data["current_password"]):
        form.add_error("current_password", WRONG)
        return False
    throttling.take_back(*who)
    if user.password != hashed:  # a new hash of the same password: the session goes on
        sessions.go_on(request, user)
    return True


def _following(request: HttpRequest) -> str:
    """Return the page that was wanted; "" for none, another site's or this one."""
    url = request.POST.get("next", request.GET.get("next", ""))
    allowed = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if allowed and url.partition("?")[0] != request.path else ""


def _form(request: HttpRequest, template: str, form: AccountForm, **context: object) -> HttpResponse:
    if form.is_bound:
        form.focus()
    return render(request, template, {"form": form, **context})


def _to(url: str) -> HttpResponse:
    return HttpResponseRedirect(url, status=SEE_OTHER)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("the middleware lets only signed-in people come here")
    return request.user


def _data(request: HttpRequest) -> QueryDict | None:
    """Return what was sent; None by GET. An empty form is one that was sent, too."""
    return request.POST if request.method == "POST" else None
