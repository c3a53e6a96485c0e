"""The board's content: room tiles, counts, filters, arrivals and departures."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from hotel import calendar, rights
from rooms.models import RoomStatus
from tests.browser.pages import set_active, shown, tile
from tests.factories import BookingFactory, NewRoomFactory, TaskFactory, booking_in


@pytest.fixture
def ten_rooms(board_hotel):
    """A room in each status and three more ready ones, on three floors."""
    for number, status in enumerate(RoomStatus.values, 101):
        board_hotel.room(number, status)
    board_hotel.room(201, kind="Suite")
    board_hotel.room(202)
    board_hotel.room(1203, kind="Suite")
    return board_hotel


def test_rooms_are_tiles_by_floor_with_their_state_as_text(ten_rooms, board):
    page = board(ten_rooms.member())
    for floor, numbers in (("Floor 1", range(101, 108)), ("Floor 2", (201, 202)), ("Floor 12", (1203,))):
        tiles = page.get_by_role("region", name=floor, exact=True).locator("button.tile")
        assert tiles.evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.room))") == list(numbers)
    for number, status in enumerate(RoomStatus, 101):
        here = tile(page, number)
        expect(here).to_have_attribute("data-status", status)
        for text in (str(number), "Double", status.label):
            expect(here).to_contain_text(text)
        name = here.get_attribute("aria-label") or ""
        assert f"Room {number}" in name and "Double" in name and status.label in name
    expect(tile(page, 106)).to_contain_text("fault")
    assert "Suite" in (tile(page, 1203).get_attribute("aria-label") or "")


def test_tiles_show_the_time_in_the_status(board_hotel, board):
    page = board(board_hotel.member())
    board_hotel.room(101)
    page.clock.install()
    page.reload()
    expect(tile(page, 101)).to_contain_text("now")
    page.route("**/state/", lambda _: None)  # the server's answer would set the page's clock right again
    page.clock.fast_forward("02:10:00")
    expect(tile(page, 101)).to_contain_text("2 h")


def test_counts_by_status_filter_when_tapped(ten_rooms, board):
    page = board(ten_rooms.member())
    for status in RoomStatus:
        count = page.locator(f'#counts [data-status="{status}"]')
        expect(count).to_contain_text(status.label)
        expect(count).to_contain_text("4" if status == RoomStatus.READY_FOR_GUEST else "1")
    page.locator('#counts [data-status="OUT_OF_ORDER"]').click()
    assert shown(page) == [107]
    expect(page.get_by_label("Status", exact=True)).to_have_value("OUT_OF_ORDER")
    page.locator('#counts [data-status="OUT_OF_ORDER"]').click()
    assert len(shown(page)) == 10


def test_filters_narrow_the_board_together_and_survive_a_reload(ten_rooms, board):
    member = ten_rooms.member(rights.HOUSEKEEPER)
    page = board(member)
    page.get_by_label("Status", exact=True).select_option("Ready for guest")
    assert shown(page) == [105, 201, 202, 1203]
    page.get_by_label("Type", exact=True).select_option("Suite")
    assert shown(page) == [201, 1203]
    page.get_by_label("Floor", exact=True).select_option("Floor 12")
    assert shown(page) == [1203]
    expect(page.get_by_role("region", name="Floor 1", exact=True)).to_be_hidden()
    page.reload()
    expect(tile(page, 1203)).to_be_visible()
    assert shown(page) == [1203]
    expect(page.get_by_label("Type", exact=True)).to_have_value("Suite")
    page.get_by_label("Floor", exact=True).select_option("All")
    page.get_by_label("Type", exact=True).select_option("All")
    page.get_by_label("Status", exact=True).select_option("All")
    assert len(shown(page)) == 10
    assert "?" not in page.url


def test_rooms_are_where_the_hotel_says(board_hotel, board):
    """Text numbers in natural order, and groups by building, floor and section, those without any last."""
    for number, place in (
        ("12A", {"building": "Garden wing", "floor": "Ground"}),
        (2, {"building": "Garden wing", "floor": "Ground"}),
        (101, {}),
        (102, {"section": "North"}),
        ("PH1", {}),
    ):
        NewRoomFactory(hotel=board_hotel.hotel, room_type=board_hotel.room_type("Double"), room_number=number, **place)
    page = board(board_hotel.member())
    regions = page.locator("#floors section").evaluate_all(
        "all => all.map(one => [...one.querySelectorAll('h2, .number')].map(each => each.textContent))"
    )
    assert regions == [
        ["Garden wing, Ground", "2", "12A"],
        ["Floor 1, North", "102"],
        ["Floor 1", "101"],
        ["Other rooms", "PH1"],
    ]
    tile(page, "PH1").click()
    expect(page.locator("#room-heading")).to_have_text("Room PH1")
    page.keyboard.press("Escape")
    expect(tile(page, "PH1")).to_be_focused()
    page.get_by_label("Floor", exact=True).select_option("Garden wing, Ground")
    assert page.locator("button.tile:visible .number").all_inner_texts() == ["2", "12A"]


def test_a_filter_stays_without_rooms_and_shows_a_returning_room(ten_rooms, board):
    manager = ten_rooms.member()
    page = board(manager, "?floor=12")
    assert shown(page) == [1203]
    room = ten_rooms.hotel.rooms.get(room_number=1203)
    set_active(ten_rooms, manager, room, is_active=False)
    expect(tile(page, 1203)).to_have_count(0)
    expect(page.get_by_label("Floor", exact=True)).to_have_value("12")
    assert shown(page) == [] and page.url.endswith("?floor=12")
    expect(page.locator("#shown")).to_have_text("0 of 9 rooms")
    set_active(ten_rooms, manager, room, is_active=True)
    expect(tile(page, 1203)).to_be_visible()
    assert shown(page) == [1203]
    assert page.get_by_label("Floor", exact=True).locator("option").all_inner_texts() == [
        "All",
        "Floor 1",
        "Floor 2",
        "Floor 12",
    ]


def test_my_tasks_are_the_rooms_with_tasks_assigned_to_me(ten_rooms, board):
    maeve, orla = ten_rooms.member(rights.HOUSEKEEPER), ten_rooms.member(rights.HOUSEKEEPER, "Orla")
    rooms = {room.room_number: room for room in ten_rooms.hotel.rooms.all()}
    TaskFactory(room=rooms[102], assigned_to=maeve)
    TaskFactory(room=rooms[103], assigned_to=orla)
    TaskFactory(room=rooms[104])
    page = board(maeve)
    page.get_by_label("My tasks").check()
    assert shown(page) == [102]
    page.reload()
    expect(tile(page, 102)).to_be_visible()
    assert shown(page) == [102]
    assert shown(board(orla, "?mine=1")) == [103]


def test_arrivals_show_room_readiness_and_departures_show_overdue(board_hotel, board):
    today = calendar.business_date(board_hotel.hotel)
    ready, dirty, leaving = board_hotel.room(101), board_hotel.room(102, "CHECKOUT_DIRTY"), board_hotel.room(103)
    for room, name in ((ready, "Ada"), (dirty, "Grace"), (None, "Mary")):
        fields = {"assigned_room": room, "room_type": board_hotel.room_type("Double"), "primary_first_name": name}
        BookingFactory(hotel=board_hotel.hotel, check_in=today, check_out=today + timedelta(days=2), **fields)
    booking_in("IN_HOUSE", assigned_room=leaving, check_in=today - timedelta(days=2), check_out=today)
    page = board(board_hotel.member(rights.FRONT_DESK_AGENT))
    arrivals, departures = (page.get_by_role("table", name=name) for name in ("Arrivals", "Departures"))
    expect(arrivals.get_by_role("row").filter(has_text="Ada")).to_contain_text("101")
    expect(arrivals.get_by_role("row").filter(has_text="Ada")).to_contain_text("ready")
    expect(arrivals.get_by_role("row").filter(has_text="Grace")).to_contain_text("dirty")
    expect(arrivals.get_by_role("row").filter(has_text="Mary")).to_contain_text("no room")
    # Check-out was at 11:00, and it is past 13:00 in this hotel.
    expect(departures.get_by_role("row").filter(has_text="103")).to_contain_text("overdue")
    assert "due in" in (tile(page, 102).get_attribute("aria-label") or "")
    assert "overdue" in (tile(page, 103).get_attribute("aria-label") or "")


def test_late_arrivals_are_listed_and_marked(board_hotel, board):
    today, day = calendar.business_date(board_hotel.hotel), timedelta(days=1)
    for number, name, since in ((101, "Ada", 0), (102, "Grace", 1), (103, "Mary", 3)):
        fields = {"room_type": board_hotel.room_type("Double"), "primary_first_name": name, "hotel": board_hotel.hotel}
        BookingFactory(
            assigned_room=board_hotel.room(number), check_in=today - since * day, check_out=today + day, **fields
        )
    page = board(board_hotel.member(rights.FRONT_DESK_AGENT))
    arrivals = page.get_by_role("table", name="Arrivals")
    expect(arrivals.get_by_role("row").filter(has_text="Ada")).not_to_contain_text("due")
    expect(arrivals.get_by_role("row").filter(has_text="Grace")).to_contain_text("ready, due yesterday")
    expect(arrivals.get_by_role("row").filter(has_text="Mary")).to_contain_text(
        f"ready, due {(today - 3 * day).strftime('%-d %b')}"
    )
    assert "due in" in (tile(page, 101).get_attribute("aria-label") or "")
    assert "late arrival" in (tile(page, 102).get_attribute("aria-label") or "")
    tile(page, 102).click()
    expect(page.locator("#facts")).to_contain_text("Grace Lovelace, due yesterday")


LINES = """cell => {
    const text = document.createRange();
    text.selectNodeContents(cell.lastChild);
    return text.getClientRects().length;
}"""


def test_a_long_name_does_not_displace_its_neighbours(board_hotel, board):
    today = calendar.business_date(board_hotel.hotel)
    for number, name in ((101, "Ada"), (102, "A" * 60)):
        fields = {"room_type": board_hotel.room_type("Double"), "primary_first_name": name}
        stay = {"check_in": today, "check_out": today + timedelta(days=2)}
        BookingFactory(
            hotel=board_hotel.hotel, assigned_room=board_hotel.room(number, "CHECKOUT_DIRTY"), **fields, **stay
        )
    page = board(board_hotel.member(rights.FRONT_DESK_AGENT))
    arrivals = page.get_by_role("table", name="Arrivals")
    for words in ("Room", "Readiness", "101", "dirty"):
        cell = arrivals.get_by_text(words, exact=True).first
        assert cell.evaluate(LINES) == 1, words
    assert arrivals.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")


def test_without_booking_rights_no_guest_names_are_shown(board_hotel, board):
    today = calendar.business_date(board_hotel.hotel)
    booking = BookingFactory(
        hotel=board_hotel.hotel,
        room_type=board_hotel.room_type("Double"),
        assigned_room=board_hotel.room(101),
        check_in=today,
        check_out=today + timedelta(days=1),
    )
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    expect(page.get_by_role("table", name="Arrivals")).to_contain_text("101")
    for secret in ("Lovelace", booking.booking_id):
        assert secret not in page.content()


def test_without_javascript_the_page_says_so(board_hotel, window):
    page = window(board_hotel.member(), java_script_enabled=False).new_page()
    page.goto(board_hotel.path)
    expect(page.locator("noscript p")).to_contain_text("The board needs JavaScript")
