from django.urls import path

from accounts import account_views, invitation_views, registration_views, session_views, views

app_name = "accounts"

urlpatterns = [
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("register", registration_views.register, name="register"),
    path("password/forgot", registration_views.password_forgot, name="password_forgot"),
    path("password/forgot/sent", registration_views.password_forgot_sent, name="password_forgot_sent"),
    path("password/reset", registration_views.password_reset, name="password_reset"),
    path("password/reset/<str:token>", registration_views.password_reset_link, name="password_reset_link"),
    path("invitation", invitation_views.invitation, name="invitation"),
    path("invitation/<str:token>", invitation_views.invitation_link, name="invitation_link"),
    path("password/change", account_views.password_change, name="password_change"),
    path("account", account_views.account, name="account"),
    path("account/name", account_views.account_name, name="account_name"),
    path("account/email", account_views.account_email, name="account_email"),
    path("account/email/confirm", account_views.account_email_confirm, name="account_email_confirm"),
    path("account/sessions", session_views.account_sessions, name="account_sessions"),
    path("account/sessions/end", session_views.session_end, name="session_end"),
    path("account/sessions/end-others", session_views.sessions_end_others, name="sessions_end_others"),
    path("account/sign-out-everywhere", account_views.sign_out_everywhere, name="sign_out_everywhere"),
]
