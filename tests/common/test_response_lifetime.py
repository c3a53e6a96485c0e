"""Responses contain no reference cycles, so that their memory is freed immediately."""

import gc
import weakref

import pytest
from rest_framework.test import APIRequestFactory, force_authenticate

from rooms.views import TurnoverViewSet

pytestmark = pytest.mark.django_db


def test_a_response_is_freed_without_the_cycle_collector(hotel, manager):
    request = APIRequestFactory().get("/")
    force_authenticate(request, user=manager.user)
    gc.collect()
    gc.disable()
    try:
        answer = TurnoverViewSet.as_view({"get": "rooms"})(request, slug=hotel.slug).render()
        assert answer.status_code == 200
        held = weakref.ref(answer)
        del answer, request
        assert held() is None
    finally:
        gc.enable()
