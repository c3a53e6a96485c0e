"""What the panel of a room shows as not possible: greyed, with every reason and who may."""

from datetime import timedelta

from playwright.sync_api import Locator, Page, expect

from hotel import calendar, rights
from housekeeping.services import set_room_status
from housekeeping.turnover import complete_maintenance
from room_bookings.models import RoomBooking
from room_bookings.services.check_in import check_in
from room_bookings.services.room_assignment import assign_room
from tests.browser.board_hotel import BoardHotel
from tests.browser.pages import (
    PHONE,
    expect_status,
    hold_first_response,
    open_room,
    overflow,
    press_until,
    serious_findings,
    small_targets,
    step,
    steps,
    tile,
)
from tests.factories import BookingFactory, booking_in

CLEANED, READY, FAULT, OUT = "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"
NOT_YOURS = "Permission denied: your role may not take a room from cleaned uninspected to ready for guest."
OPEN_FAULT = "Room not ready: room 101 still has an open fault."


def refused(page: Page, name: str) -> Locator:
    """The listed button of a refused action, greyed or an override."""
    return page.locator("dialog#room .refused").get_by_role("button", name=name, exact=True)


def arrival(board_hotel: BoardHotel, kind: str = "Double", days: int = 1) -> RoomBooking:
    """A booking that arrives in that many days."""
    day = calendar.business_date(board_hotel.hotel) + timedelta(days=days)
    stay = {"check_in": day, "check_out": day + timedelta(days=1)}
    return BookingFactory(hotel=board_hotel.hotel, room_type=board_hotel.room_type(kind), **stay)


def test_a_greyed_action_gives_its_reasons_and_roles_to_the_keyboard(board_hotel, board):
    for role in (rights.HOTEL_MANAGER, rights.HOUSEKEEPING_SUPERVISOR):
        board_hotel.member(role)
    board_hotel.room(101, CLEANED, fault=True)
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    tile(page, 101).press("Enter")
    ready = refused(page, "Ready for guest")
    expect(ready).to_have_attribute("aria-disabled", "true")
    assert ready.get_attribute("disabled") is None
    expect(ready).to_have_accessible_description(
        f"{NOT_YOURS} Hotel manager, housekeeping supervisor may. {OPEN_FAULT} Hotel manager may."
    )
    expect(page.locator(f"#why-{READY} p")).to_have_count(2)
    press_until(page, "Tab", ".refused button")
    expect(ready).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    # The rest, which nobody expects from here, is shown on demand.
    press_until(page, "Tab", "summary")
    expect(refused(page, "Out of order")).to_be_hidden()
    page.keyboard.press("Enter")
    press_until(page, "Tab", "#refused-others button")
    expect(refused(page, "Guest in house")).to_be_focused()
    expect(refused(page, "Out of order")).to_be_visible()
    expect(refused(page, "Mark as repaired")).to_have_accessible_description(
        "Permission denied: your role does not include this. Hotel manager, housekeeping supervisor may."
    )
    assert sent == []
    assert steps(page) == {"CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", FAULT}


def test_the_reasons_fit_on_a_phone(board_hotel, board):
    room = board_hotel.room(101)
    booking_in("IN_HOUSE", assigned_room=room)
    page = board(board_hotel.member(rights.HOUSEKEEPER), **PHONE)
    panel = open_room(page, 101)
    expect(refused(page, "Dirty")).to_be_visible()
    expect(panel.locator("#why-CHECKOUT_DIRTY")).to_contain_text("Room occupied: room 101 has a guest in house.")
    panel.get_by_text("Other statuses").tap()
    expect(refused(page, "Ready for guest")).to_be_visible()
    assert overflow(page) == 0
    assert panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") == 0
    assert small_targets(page) == []
    assert serious_findings(page) == []


def test_an_action_becomes_impossible_live(board_hotel, board):
    agent, room = board_hotel.member(rights.FRONT_DESK_AGENT), board_hotel.room(101)
    booking = arrival(board_hotel, days=0)
    page = board(agent)
    panel = open_room(page, 101)
    expect(step(page, "CHECKOUT_DIRTY")).to_be_visible()
    expect(refused(page, "Dirty")).to_be_hidden()
    check_in(booking=booking, staff=agent, room_id=room.pk)
    expect(refused(page, "Dirty")).to_be_visible()
    expect(panel.locator("#why-CHECKOUT_DIRTY")).to_contain_text("Room occupied: room 101 has a guest in house.")
    assert steps(page) == {FAULT}


def test_a_repaired_fault_gives_the_action_back_live(board_hotel, board):
    """The fault goes without a change of status."""
    room, supervisor = board_hotel.room(101, CLEANED, fault=True), board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR)
    page = board(supervisor)
    open_room(page, 101)
    expect(refused(page, "Ready for guest")).to_have_accessible_description(f"{OPEN_FAULT} Hotel manager may.")
    assert READY not in steps(page)
    complete_maintenance(room=room, staff=supervisor)
    expect(step(page, READY)).to_be_visible()
    expect(refused(page, "Ready for guest")).to_be_hidden()
    step(page, READY).click()
    expect_status(page, 101, READY)


def test_an_override_needs_a_note(board_hotel, board):
    room = board_hotel.room(101, CLEANED, fault=True)
    page = board(board_hotel.member())
    panel = open_room(page, 101)
    override = refused(page, "Override: Ready for guest")
    expect(override).to_have_accessible_description(f"{OPEN_FAULT} Hotel manager may.")
    override.click()
    expect(page.locator("#refusal")).to_have_text("An override needs a note that says why.")
    expect(panel.get_by_label("Note")).to_be_focused()
    expect_status(page, 101, CLEANED)
    panel.get_by_label("Note").fill("I saw it")
    override.click()
    expect_status(page, 101, READY)
    event = room.status_events.latest("version")
    assert (event.source, event.note) == ("MANAGER_OVERRIDE", "I saw it")


def test_a_room_that_an_arrival_gets_live_can_be_taken_from_it(board_hotel, board):
    office, room = board_hotel.member(rights.FRONT_OFFICE_MANAGER), board_hotel.room(101)
    board_hotel.room(102)
    booking = arrival(board_hotel)
    page = board(office)
    panel = open_room(page, 101)
    expect(refused(page, "Dirty")).to_be_hidden()
    expect(step(page, OUT)).to_be_visible()
    assign_room(booking=booking, room_id=room.pk, staff=office)
    override = refused(page, "Override: Out of order")
    expect(override).to_be_visible()
    expect(step(page, OUT)).to_be_hidden()
    panel.get_by_label("Note").fill("burst pipe")
    override.click()
    expect_status(page, 101, OUT)
    booking.refresh_from_db()
    assert booking.assigned_room is None


def test_names_in_reasons_are_escaped(board_hotel, board):
    name = "<img src=x onerror=alert(1)>"
    board_hotel.room(101, kind=name)
    arrival(board_hotel, name)
    page = board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR))
    open_room(page, 101)
    expect(page.locator(f"#why-{OUT}")).to_contain_text(f"every {name} is sold")
    assert page.locator("img").count() == 0


def test_without_an_answer_the_panel_offers_what_the_role_may(board_hotel, board, complaints):
    complaints.expect("net::ERR_FAILED")
    board_hotel.room(101, CLEANED, fault=True)
    page = board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR))
    page.route("**/actions/", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        open_room(page, 101)
    assert steps(page) == {READY, "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", FAULT}
    expect(page.locator(".refused li")).to_have_count(0)
    # It is asked again.
    page.unroute("**/actions/")
    page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")
    expect(refused(page, "Ready for guest")).to_be_visible()
    assert READY not in steps(page)


def test_an_answer_about_an_earlier_version_is_not_shown(board_hotel, board):
    room, supervisor = board_hotel.room(101, CLEANED, fault=True), board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR)
    page = board(supervisor)
    open_room(page, 101)
    expect(refused(page, "Ready for guest")).to_be_visible()
    page.route("**/actions/", lambda _: None)  # no further answer
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=supervisor)
    expect(step(page, CLEANED)).to_be_visible()
    expect(page.locator(".refused li")).to_have_count(0)
    page.unroute_all(behavior="ignoreErrors")


def test_a_late_older_answer_is_ignored(board_hotel, board):
    room, supervisor = board_hotel.room(101, CLEANED, fault=True), board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR)
    page = board(supervisor)
    held = hold_first_response(page, "**/actions/")
    open_room(page, 101)
    route, answer = held()
    assert OPEN_FAULT in answer.text()
    with page.expect_event("requestfinished", lambda request: "/actions/" in request.url):
        complete_maintenance(room=room, staff=supervisor)
    with page.expect_event("requestfinished", lambda request: "/actions/" in request.url):
        route.fulfill(response=answer)
    page.wait_for_timeout(200)
    expect(step(page, READY)).to_be_visible()
    expect(refused(page, "Ready for guest")).to_be_hidden()
