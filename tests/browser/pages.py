"""How a test reads the board and works on it: as its reader does, by words and roles, and by the ids it promises."""

import math
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from hotel.models import Staff
from rooms.models import Room
from tests.browser.house import House
from tests.conftest import token_client

# How a window is opened.
PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 667},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
WALL: dict[str, Any] = {"viewport": {"width": 1920, "height": 1080}}


def tile(page: Page, number: int) -> Locator:
    return page.locator(f'button.tile[data-room="{number}"]')


def expect_status(page: Page, number: int, status: str) -> None:
    """Wait until the room's tile shows that status."""
    expect(tile(page, number)).to_have_attribute("data-status", status)


def expect_state(page: Page, state: str) -> None:
    """Wait until the board says how it is connected: live, reconnecting, polling or offline."""
    expect(page.locator("#connection")).to_have_attribute("data-state", state)


def shown(page: Page) -> list[int]:
    """The rooms whose tiles can be seen, in their order on the page."""
    found = page.locator("button.tile:visible")
    return [int(number) for number in found.evaluate_all("tiles => tiles.map(tile => tile.dataset.room)")]


def open_room(page: Page, number: int) -> Locator:
    """Tap the room's tile; returns its panel, when it has read what the room is now."""
    with page.expect_response(f"**/room-management/{number}/"):
        tile(page, number).click()
    panel = page.locator("dialog#room")
    expect(panel.get_by_role("heading", name=f"Room {number}")).to_be_visible()
    return panel


def step(page: Page, to_status: str) -> Locator:
    """The button that takes the open room to that status."""
    return page.locator(f'dialog#room button[data-to="{to_status}"]')


def steps(page: Page) -> set[str]:
    """The statuses to which the open room may be taken by whoever looks at it."""
    found = page.locator("dialog#room button[data-to]:visible")
    return set(found.evaluate_all("buttons => buttons.map(button => button.dataset.to)"))


def set_active(house: House, manager: Staff, room: Room, *, is_active: bool) -> None:
    """The manager takes the room out of service, or back into it, somewhere else."""
    answer = token_client(manager).patch(f"{house.api}room-management/{room.pk}/", {"is_active": is_active})
    assert answer.status_code == 200


@dataclass
class Ear:
    """What a page has heard of rooms over its live connection, and what has not reached it."""

    heard: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    socket: WebSocketRoute | None = None

    def hear_again(self, message: str) -> None:
        assert self.socket is not None
        self.socket.send(message)


def deafen(page_or_context: Any, events: float = math.inf) -> Ear:
    """From now on so many events of rooms, all of them unless told, do not reach the page, though it is connected."""
    ear = Ear()

    def between(socket: WebSocketRoute) -> None:
        ear.socket = socket
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if '"room_updated"' not in str(message):
                socket.send(message)
            elif len(ear.missed) < events:
                ear.missed.append(str(message))
            else:
                ear.heard.append(str(message))
                socket.send(message)

        server.on_message(pass_on)

    page_or_context.route_web_socket("ws://127.0.0.1:*/**", between)
    return ear


def serious_findings(page: Page) -> list[str]:
    """What axe finds on the page as it stands that keeps people out."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {[node['target'] for node in violation['nodes']]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
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
    """From now on the page remembers what changes among its tiles."""
    page.evaluate(WATCH_TILES)


def touched(page: Page) -> list[str]:
    """The rooms whose tiles have changed in any way since ``watch_tiles``; or whatever else has."""
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
    """The words that reach beyond their tile."""
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
    """What a finger has to hit on the page, or in its open panel, and is smaller than 44 pixels."""
    found: list[str] = page.evaluate(SMALL_TARGETS)
    return found
