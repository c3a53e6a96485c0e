"""The board of a large hotel: as many requests as for a small one, and painted before any of them returns."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from hotel import calendar
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from rooms.models import Room, RoomStatus
from tests.browser.pages import WALL, cut_off, expect_state, expect_status, overflow, tile, touched, watch_tiles
from tests.factories import BookingFactory, NewRoomFactory, booking_in


def fill(board_hotel, count: int, places: int = 30) -> None:
    """Add rooms up to ``count``, with ``places`` on each floor, skipping existing numbers."""
    kind = board_hotel.room_type("Double")
    numbers = [floor * 100 + place for floor in range(1, 100) for place in range(1, places + 1)][:count]
    taken = {room.room_number for room in board_hotel.hotel.rooms.all()}
    numbers = [number for number in numbers if number not in taken]
    rooms = [NewRoomFactory.build(hotel=board_hotel.hotel, room_type=kind, room_number=number) for number in numbers]
    Room.objects.bulk_create(rooms)


def requests_of(board_hotel, window) -> list[str]:
    """The requests of the page until it is live and idle."""
    context = window(board_hotel.member())
    asked: list[str] = []
    context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    page.wait_for_load_state("networkidle")
    return asked


def test_300_rooms_take_as_many_requests_as_three(board_hotel, window, measured):
    fill(board_hotel, 3)
    few = requests_of(board_hotel, window)
    Room.objects.filter(hotel=board_hotel.hotel).delete()
    fill(board_hotel, 300)
    many = requests_of(board_hotel, window)
    measured(f"A board of 300 rooms: {len(many)} requests until it is live")
    assert sorted(many) == sorted(few)
    assert len(many) <= 20


def test_300_rooms_are_painted_without_an_api_call(board_hotel, window, complaints, measured):
    complaints.expect("net::ERR_FAILED")
    fill(board_hotel, 300)
    context = window(board_hotel.member())
    # Only the page and its files: no API call ever gets a response.
    context.route("**/api/**", lambda route: route.abort())
    context.route("**/state/", lambda route: route.abort())
    context.route("**/pusher.min.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(board_hotel.path)
    expect(page.locator("button.tile")).to_have_count(300)
    expect(tile(page, 1020)).to_contain_text("Ready for guest")
    painted = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
    measured(f"A board of 300 rooms: first contentful paint after {painted:.0f} ms")


@pytest.mark.parametrize(("floors", "places"), [(7, 30), (10, 30), (15, 20), (30, 10)])
def test_a_wall_screen_shows_the_whole_hotel_without_scrolling(board_hotel, board, floors, places):
    """The resort of the demo has 210 rooms."""
    for number, status in enumerate(RoomStatus.values, 101):
        board_hotel.room(number, status)
    board_hotel.room(201, "CLEANED_UNINSPECTED", fault=True)
    today, room = calendar.business_date(board_hotel.hotel), board_hotel.room(202)
    booking_in("IN_HOUSE", assigned_room=room, check_in=today - timedelta(days=2), check_out=today)
    coming = {"check_in": today, "check_out": today + timedelta(days=1)}
    BookingFactory(hotel=board_hotel.hotel, room_type=room.room_type, assigned_room=room, **coming)
    flag_maintenance(room=room, staff=board_hotel.member(), priority="MED", note="shower drips")
    fill(board_hotel, floors * places, places)
    page = board(board_hotel.member(), **WALL)
    page.get_by_label("All rooms on one screen").check()
    page.reload()  # a restarted wall screen shows the same
    expect_state(page, "live")
    assert page.locator("button.tile:visible").count() == floors * places
    edges = page.locator("button.tile, .floor h2").evaluate_all(
        "parts => parts.map(part => part.getBoundingClientRect().bottom)"
    )
    assert max(edges) <= WALL["viewport"]["height"]
    assert overflow(page) == 0
    assert cut_off(page) == []
    expect(tile(page, floors * 100 + places)).to_contain_text(str(floors * 100 + places))
    # No room type is cut down to a letter or two.
    squeezed = page.locator(".tile .type").evaluate_all("types => types.filter(it => it.scrollWidth > it.clientWidth)")
    assert squeezed == []


def test_with_300_rooms_one_change_touches_one_tile(board_hotel, board):
    fill(board_hotel, 300)
    page = board(board_hotel.member())
    watch_tiles(page)
    room = board_hotel.hotel.rooms.get(room_number=710)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=board_hotel.member())
    expect_status(page, 710, "CHECKOUT_DIRTY")
    assert touched(page) == ["710"]
