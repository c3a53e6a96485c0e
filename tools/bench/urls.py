"""HotelMate's URLs, and the two views of the floor."""

from typing import Any

from django.urls import path

from hotelmate.urls import urlpatterns as product
from tools.bench.floor import NothingView, StatusView

urlpatterns: list[Any] = [
    path("floor/nothing/", NothingView.as_view()),
    path("floor/status/<int:room>/", StatusView.as_view()),
    *product,
]
