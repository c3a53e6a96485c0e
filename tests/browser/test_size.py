"""The board of a large house: as many requests as that of a small one, and painted before any of them is answered."""

from playwright.sync_api import expect

from housekeeping.services import set_room_status
from rooms.models import Room
from tests.browser.pages import WALL, cut_off, expect_state, expect_status, overflow, tile, touched, watch_tiles
from tests.factories import NewRoomFactory


def fill(house, count: int) -> None:
    """So many rooms, thirty to a floor."""
    kind = house.room_type("Double")
    numbers = [floor * 100 + place for floor in range(1, 100) for place in range(1, 31)][:count]
    rooms = [NewRoomFactory.build(hotel=house.hotel, room_type=kind, room_number=number) for number in numbers]
    Room.objects.bulk_create(rooms)


def requests_of(house, window) -> list[str]:
    """What the page asks for until it is live and at rest."""
    context = window(house.member())
    asked: list[str] = []
    context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page = context.new_page()
    page.goto(house.path)
    expect_state(page, "live")
    page.wait_for_load_state("networkidle")
    return asked


def test_a_house_of_300_rooms_asks_as_often_as_one_of_three(house, window, measured):
    fill(house, 3)
    few = requests_of(house, window)
    Room.objects.filter(hotel=house.hotel).delete()
    fill(house, 300)
    many = requests_of(house, window)
    measured(f"A board of 300 rooms: {len(many)} requests until it is live")
    assert sorted(many) == sorted(few)
    assert len(many) <= 20


def test_300_rooms_are_painted_from_the_page_itself(house, window, complaints, measured):
    complaints.expect("net::ERR_FAILED")
    fill(house, 300)
    context = window(house.member())
    # Nothing but the page and its files: no call of the API is ever answered.
    context.route("**/api/**", lambda route: route.abort())
    context.route("**/state/", lambda route: route.abort())
    context.route("**/pusher.min.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(house.path)
    expect(page.locator("button.tile")).to_have_count(300)
    expect(tile(page, 1020)).to_contain_text("Ready for guest")
    painted = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
    measured(f"A board of 300 rooms: first contentful paint after {painted:.0f} ms")


def test_a_wall_screen_shows_210_rooms_without_scrolling(house, board):
    """As many as the resort of the demo has."""
    fill(house, 210)
    page = board(house.member(), **WALL)
    page.get_by_label("All rooms on one screen").check()
    page.reload()  # a wall screen that starts anew shows the same
    expect_state(page, "live")
    assert page.locator("button.tile:visible").count() == 210
    lowest = page.locator("button.tile").evaluate_all(
        "tiles => Math.max(...tiles.map(tile => tile.getBoundingClientRect().bottom))"
    )
    assert lowest <= WALL["viewport"]["height"]
    assert overflow(page) == 0
    assert cut_off(page) == []
    expect(tile(page, 730)).to_contain_text("730")


def test_in_a_house_of_300_rooms_one_change_touches_one_tile(house, board):
    fill(house, 300)
    page = board(house.member())
    watch_tiles(page)
    room = house.hotel.rooms.get(room_number=710)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=house.member())
    expect_status(page, 710, "CHECKOUT_DIRTY")
    assert touched(page) == ["710"]
