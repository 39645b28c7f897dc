"""The one page of bench/bare_lambda.py."""

from django.contrib.auth.views import LoginView
from django.urls import path

urlpatterns = [path("sign-in", LoginView.as_view(template_name="bare_sign_in.html"), name="sign_in")]
