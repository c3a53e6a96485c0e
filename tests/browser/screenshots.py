"""Makes the pictures in docs/screenshots (``make screenshots``); only their size is checked."""

from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from common import clock
from hotel import rights
from hotel.models import Staff
from local.datadir import PROJECT
from tests.browser.board_hotel import BoardHotel, Site, fill_busy_hotel, turn_rooms
from tests.browser.pages import PHONE, WALL, expect_state, open_room, step
from tests.factories import HotelFactory

FOLDER = PROJECT / "docs" / "screenshots"
LARGEST = 300_000  # bytes


# The statuses of the other rooms: mostly occupied or ready.
OTHERS = [
    *["READY_FOR_GUEST"] * 6,
    *["OCCUPIED"] * 6,
    *["CHECKOUT_DIRTY"] * 3,
    *["CLEANED_UNINSPECTED"] * 2,
    "CLEANING_IN_PROGRESS",
]
CITIES = (
    "Europe/Dublin",
    "America/Halifax",
    "America/New_York",
    "America/Denver",
    "America/Los_Angeles",
    "Pacific/Honolulu",
    "Pacific/Auckland",
    "Australia/Sydney",
    "Asia/Tokyo",
    "Asia/Bangkok",
    "Asia/Dubai",
    "Africa/Nairobi",
)


def afternoon_city() -> str:
    """A city where it is early afternoon now, if there is one."""
    return min(CITIES, key=lambda city: abs(clock.now().astimezone(ZoneInfo(city)).hour - 13))


def take(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    assert path.stat().st_size <= LARGEST


def live(context: BrowserContext, path: str) -> Page:
    page = context.new_page()
    page.goto(path)
    expect_state(page, "live")
    return page


def member(board_hotel: BoardHotel, role: str, name: str) -> Staff:
    first, last = name.split()
    return board_hotel.member(role, first, user__last_name=last, user__is_staff=role == rights.HOTEL_MANAGER)


@pytest.fixture
def belvedere(site: Site, password: str) -> BoardHotel:
    board_hotel = BoardHotel(
        password, HotelFactory(name="Hotel Belvedere", slug="belvedere", timezone=afternoon_city())
    )
    fill_busy_hotel(board_hotel)
    for place, number in enumerate(floor * 100 + room for floor in range(1, 8) for room in range(1, 16)):
        if floor_and_room_are_new(number):
            with clock.set_to(clock.now() - timedelta(minutes=5 + 37 * (place * 19 % 31))):
                board_hotel.room(number, OTHERS[place * 7 % len(OTHERS)], kind="Double" if number % 3 else "Twin")
    return board_hotel


def floor_and_room_are_new(number: int) -> bool:
    """Whether ``furnish`` has left it out."""
    return number > 500 or number % 100 > 10


def test_screenshots(belvedere: BoardHotel, window: Callable[..., BrowserContext]):
    FOLDER.mkdir(exist_ok=True)
    manager = member(belvedere, rights.HOTEL_MANAGER, "Siobhan Kelly")
    supervisor = member(belvedere, rights.HOUSEKEEPING_SUPERVISOR, "Orla Walsh")
    housekeeper = member(belvedere, rights.HOUSEKEEPER, "Maeve Byrne")
    agent = member(belvedere, rights.FRONT_DESK_AGENT, "Tom Daly")

    take(live(window(agent, color_scheme="dark", **WALL), f"{belvedere.path}?wall=1"), "board-wall-dark")

    phone = live(window(housekeeper, **PHONE), belvedere.path)
    take(phone, "board-phone")
    open_room(phone, 203)
    phone.get_by_label("Note").fill("cot removed")
    step(phone, "CLEANED_UNINSPECTED").tap()
    expect(phone.locator("dialog#room #done")).not_to_be_empty()

    desk = live(window(supervisor), belvedere.path)
    panel = open_room(desk, 203)
    expect(panel.locator("#history > li").first).to_contain_text("cot removed")
    take(desk, "board-desk-room")

    # After the boards, because it adds floors to them.
    turn_rooms(belvedere, days=30, rooms=6)
    chart = window(manager).new_page()
    chart.goto(f"{belvedere.path}turn-times/")
    expect(chart.locator("svg").first).to_be_visible()
    take(chart, "turn-times")

    admin = window(manager).new_page()
    admin.goto("/admin/")
    take(admin, "admin-home")
