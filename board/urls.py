"""URL configuration of the live board, under ``/board/``."""

from django.urls import path

from board.views import BoardView, HomeView, SignInView, SignOutView, StateViewSet, TurnTimesView

app_name = "board"

# Fixed paths first, so that no hotel slug can hide the sign-in.
urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-out/", SignOutView.as_view(), name="sign-out"),
    path("<slug:slug>/", BoardView.as_view(), name="board"),
    path("<slug:slug>/state/", StateViewSet.as_view({"get": "state"}), name="state"),
    path("<slug:slug>/turn-times/", TurnTimesView.as_view(), name="turn-times"),
]
