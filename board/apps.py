"""App configuration of the live board, which has no models."""

from django.apps import AppConfig


class BoardConfig(AppConfig):
    name = "board"
