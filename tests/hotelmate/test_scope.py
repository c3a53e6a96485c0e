"""Access to every endpoint, by hotel, token and role (docs/api.md, Rights)."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from common import clock
from hotel.models import Staff
from hotelmate.urls import api_urls, hotel_urls, urlpatterns
from tests.endpoints import ENDPOINTS, MANAGER, NOBODY, OTHER_ROUTES, ROLES, WITH_OBJECT, Endpoint, endpoint_targets
from tests.factories import HotelFactory, StaffFactory
from tests.http import DocumentedClient, assert_error, nothing_written, rolled_back, stored_rows

DENIED = "Permission denied: you are not on the staff of this hotel."


def member(hotel, role: str) -> Staff:
    if role == NOBODY:
        Group.objects.get_or_create(name=NOBODY)
    return StaffFactory(hotel=hotel, role=role)


def test_the_table_lists_every_endpoint():
    routed = {
        f"{method.upper()} {pattern.pattern}"
        for pattern in hotel_urls
        for method in pattern.callback.actions
        if method != "head"
    }
    assert routed == {endpoint.name for endpoint in ENDPOINTS}


def test_no_other_api_route_exists():
    own = {f"api/{pattern.pattern}" for pattern in api_urls}
    flat = {str(pattern.pattern) for pattern in urlpatterns}
    assert own - {"api/staff/hotel/<slug:slug>/"} == OTHER_ROUTES - {"api/pusher/auth"}
    assert flat == {"", "admin", "admin/", "api/", "board", "board/", "api/pusher/auth", "pusher/auth", "pusher/auth/"}


@pytest.mark.parametrize("role", [*ROLES, NOBODY])
def test_each_role_can_use_exactly_its_endpoints(api, hotel, role):
    staff = member(hotel, role)
    things = endpoint_targets(hotel, staff)
    client = api(staff)
    for endpoint in ENDPOINTS:
        with rolled_back():
            before = stored_rows()
            answer = endpoint.call(client, hotel.slug, things)
            if role in endpoint.roles:
                assert answer.status_code == endpoint.status, (endpoint.name, answer.content)
            else:
                body = assert_error(answer, 403, "PERMISSION_DENIED")
                assert body["message"].startswith("Permission denied"), endpoint.name
                assert stored_rows() == before, endpoint.name


def test_without_the_right_existence_is_not_disclosed(api, hotel):
    staff = member(hotel, NOBODY)
    things = endpoint_targets(hotel, staff)
    client = api(staff)
    # The right required for a status change depends on the room.
    asked = [endpoint for endpoint in WITH_OBJECT if not endpoint.name.endswith("rooms/<int:rid>/status/")]
    for endpoint in asked:
        with rolled_back():
            setattr(things, endpoint.target, 123_456_789)
            answer = endpoint.call(client, hotel.slug, things)
        assert_error(answer, 403, "PERMISSION_DENIED")
    assert len(asked) == len(WITH_OBJECT) - 2


def test_another_hotels_urls_and_an_unknown_hotels_are_refused_alike(api, manager):
    things = endpoint_targets(HotelFactory(slug="other"))
    client = api(manager)
    with nothing_written():
        for endpoint in ENDPOINTS:
            existing = endpoint.call(client, "other", things)
            unknown = endpoint.call(client, "nowhere", things)
            assert assert_error(existing, 403, "HOTEL_ACCESS_DENIED")["message"] == DENIED, endpoint.name
            assert unknown.status_code == 403
            assert existing.json() == unknown.json(), endpoint.name


@pytest.mark.parametrize("endpoint", WITH_OBJECT, ids=[endpoint.name for endpoint in WITH_OBJECT])
def test_another_hotels_objects_are_not_found(api, hotel, manager, endpoint: Endpoint):
    elsewhere = endpoint_targets(HotelFactory(slug="other"), first=901)
    client = api(manager)
    with nothing_written():
        other = endpoint.call(client, hotel.slug, elsewhere)
        setattr(elsewhere, endpoint.target, 123_456_789)
        unknown = endpoint.call(client, hotel.slug, elsewhere)
    assert_error(other, 404)
    assert unknown.status_code == 404
    assert other.json() == unknown.json()


def test_every_endpoint_requires_a_valid_token(api, hotel, manager):
    things = endpoint_targets(hotel)
    deactivated = StaffFactory(hotel=hotel, role=MANAGER)
    anonymous, expired, left = DocumentedClient(raise_request_exception=False), api(manager), api(deactivated)
    Staff.objects.filter(pk=deactivated.pk).update(is_active=False)
    with nothing_written():
        for endpoint in ENDPOINTS:
            answers = [endpoint.call(anonymous, hotel.slug, things), endpoint.call(left, hotel.slug, things)]
            with clock.set_to(clock.now() + timedelta(days=15)):
                answers.append(endpoint.call(expired, hotel.slug, things))
            if endpoint.route == "events/":
                # The exception: an expired token gets the same response here as from the channel authorisation.
                while len(answers) > 1:
                    assert_error(answers.pop(), 403, "CHANNEL_REFUSED")
            for answer in answers:
                assert_error(answer, 401, "NOT_AUTHENTICATED")
                assert answer["WWW-Authenticate"] == "Token", endpoint.name


def test_headers_never_widen_the_scope(api, hotel, manager):
    other = HotelFactory(slug="other")
    headers = {"HTTP_X_HOTEL_SLUG": "other", "HTTP_X_HOTEL_ID": str(other.pk)}
    client = api(manager)
    assert_error(client.get("/api/staff/hotel/other/me/", **headers), 403, "HOTEL_ACCESS_DENIED")
    own = client.get("/api/staff/hotel/grand/me/", **headers)
    assert own.json()["hotel"] == {"id": hotel.pk, "name": "Grand", "slug": "grand"}


def test_the_room_not_found_message(api, hotel, manager):
    client = api(manager)
    for path in ("rooms/999/start-cleaning/", "rooms/999/status/"):
        answer = client.post(f"/api/staff/hotel/grand/{path}", {"to_status": "OCCUPIED"})
        assert assert_error(answer, 404, "ROOM_NOT_FOUND")["message"].startswith("Room not found")
