from django.urls import path

from attendance import views

app_name = "attendance"

urlpatterns = [
    path("", views.home, name="home"),
    path("clock-in", views.clock_in, name="clock_in"),
    path("clock-out", views.clock_out, name="clock_out"),
    path("work-sessions/<int:session_id>/history", views.history_of_session, name="history"),
]
