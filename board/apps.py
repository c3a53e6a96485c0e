"""The app of the live board; it has no tables."""

from django.apps import AppConfig


class BoardConfig(AppConfig):
    name = "board"
