"""Reading and operating the board in a browser, by text, roles and ids."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIResponse, Locator, Page, Route, WebSocketRoute, expect

from hotel.models import Staff
from rooms.models import Room
from tests.browser.board_hotel import BoardHotel
from tests.conftest import token_client

# Window options.
PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 667},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
WALL: dict[str, Any] = {"viewport": {"width": 1920, "height": 1080}}


def tile(page: Page, number: int | str) -> Locator:
    return page.locator(f'button.tile[data-room="{number}"]')


def expect_status(page: Page, number: int, status: str) -> None:
    """Wait until the room's tile shows that status."""
    expect(tile(page, number)).to_have_attribute("data-status", status)


def expect_state(page: Page, state: str) -> None:
    """Wait until the board's connection state is live, reconnecting, polling or offline, as given."""
    expect(page.locator("#connection")).to_have_attribute("data-state", state)


def shown(page: Page) -> list[int]:
    """The numbers of the visible rooms, in page order."""
    found = page.locator("button.tile:visible")
    return [int(number) for number in found.evaluate_all("tiles => tiles.map(tile => tile.dataset.room)")]


def open_room(page: Page, number: int) -> Locator:
    """Tap the room's tile; returns its panel once it has loaded the room."""
    with page.expect_response(f"**/room-management/{number}/"):
        tile(page, number).click()
    panel = page.locator("dialog#room")
    expect(panel.get_by_role("heading", name=f"Room {number}")).to_be_visible()
    return panel


def step(page: Page, to_status: str) -> Locator:
    """The button that takes the open room to that status."""
    return page.locator(f'dialog#room button[data-to="{to_status}"]')


def steps(page: Page) -> set[str]:
    """The statuses that the panel offers for the open room."""
    found = page.locator("dialog#room button[data-to]:visible")
    return set(found.evaluate_all("buttons => buttons.map(button => button.dataset.to)"))


def set_active(board_hotel: BoardHotel, manager: Staff, room: Room, *, is_active: bool) -> None:
    """Activate or deactivate the room through the API, as the manager."""
    answer = token_client(manager).patch(f"{board_hotel.api}room-management/{room.pk}/", {"is_active": is_active})
    assert answer.status_code == 200


def press_until(page: Page, key: str, selector: str) -> None:
    """Press the key until the selector's element has the focus, up to a limit."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{key} never leads to {selector}")


def without_answers(page: Page) -> None:
    """The page does not learn beforehand what would be refused."""
    page.route("**/actions/", lambda route: route.fulfill(json={}))


def hold_first_response(page: Page, urls: str) -> Callable[[], tuple[Route, APIResponse]]:
    """Hold back the response to the first request to ``urls``; later requests are not delayed.

    Returns a function that waits until the response is here; ``route.fulfill(response=…)`` then lets it through.
    """
    requested: list[Route] = []
    held: list[tuple[Route, APIResponse]] = []

    def handle(route: Route) -> None:
        requested.append(route)  # before the fetch, during which the second request may come
        if len(requested) > 1:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    def wait() -> tuple[Route, APIResponse]:
        for _ in range(100):
            if held:
                break
            page.wait_for_timeout(50)  # it may still be on its way to us
        return held[0]

    page.route(urls, handle)
    return wait


@dataclass
class RoomEventFilter:
    """The room events that reached a page over its live connection, and those that were withheld."""

    delivered: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)
    socket: WebSocketRoute | None = None

    def redeliver(self, message: str) -> None:
        assert self.socket is not None
        self.socket.send(message)


def withhold_room_events(page_or_context: Any, events: float = math.inf) -> RoomEventFilter:
    """Withhold the next ``events`` room events (all by default) from the page, which stays connected."""
    room_events = RoomEventFilter()

    def route(socket: WebSocketRoute) -> None:
        room_events.socket = socket
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if '"room_updated"' not in str(message):
                socket.send(message)
            elif len(room_events.withheld) < events:
                room_events.withheld.append(str(message))
            else:
                room_events.delivered.append(str(message))
                socket.send(message)

        server.on_message(pass_on)

    page_or_context.route_web_socket("ws://127.0.0.1:*/**", route)
    return room_events


def serious_findings(page: Page) -> list[str]:
    """The serious and critical accessibility findings of axe on the page."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {[node['target'] for node in violation['nodes']]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


def overflow(page: Page) -> int:
    """The number of pixels by which the page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))


WATCH_TILES = """() => {
    window.touched = new Set();
    new MutationObserver(records => {
        for (const {target} of records) {
            const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
            window.touched.add(element.closest("li")?.querySelector(".tile")?.dataset.room ?? element.outerHTML);
        }
    }).observe(document.getElementById("floors"), {
        subtree: true, childList: true, characterData: true, attributes: true,
    });
}"""


def watch_tiles(page: Page) -> None:
    """Record DOM changes among the tiles from now on."""
    page.evaluate(WATCH_TILES)


def touched(page: Page) -> list[str]:
    """The rooms whose tiles have changed since ``watch_tiles``, and any other changed element."""
    found: list[str] = page.evaluate("() => [...window.touched]")
    return found


CUT_OFF = """() => [...document.querySelectorAll(".tile *")]
    .filter(node => node.checkVisibility() && !node.childElementCount && node.textContent.trim())
    .filter(node => {
        const text = document.createRange();
        text.selectNodeContents(node);
        return text.getBoundingClientRect().right > node.closest(".tile").getBoundingClientRect().right;
    })
    .map(node => `${node.closest(".tile").dataset.room}: ${node.textContent}`)"""


def cut_off(page: Page) -> list[str]:
    """The words that overflow their tile."""
    found: list[str] = page.evaluate(CUT_OFF)
    return found


SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, input, select, textarea')]
    .filter(node => node.checkVisibility({visibilityProperty: true, opacityProperty: true}))
    .filter(node => !document.querySelector('dialog[open]') || node.closest('dialog[open]'))
    .map(node => ({node, boxes: [node, ...node.labels ?? []].map(part => part.getBoundingClientRect())}))
    .filter(({boxes}) => boxes[0].right > 0 && boxes[0].bottom > 0)
    .filter(({boxes}) => !boxes.some(box => box.width >= 43.5 && box.height >= 43.5))
    .map(({node, boxes: [box]}) =>
        `${node.outerHTML.slice(0, 90)}: ${Math.round(box.width)} x ${Math.round(box.height)}`)"""


def small_targets(page: Page) -> list[str]:
    """The touch targets on the page, or in its open panel, that are smaller than 44 pixels."""
    found: list[str] = page.evaluate(SMALL_TARGETS)
    return found
