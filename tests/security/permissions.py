"""The permissions page: every endpoint, called by every kind of caller, and the status that the server returned."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client

from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask
from room_bookings.models import RoomBooking, hash_token
from tests.admin.every_model import admin_url, create_rows, registered_models
from tests.conftest import token_client
from tests.endpoints import ENDPOINTS, NOBODY, ROLES, Endpoint, endpoint_targets
from tests.factories import HotelFactory, StaffFactory, UserFactory, booking_in
from tests.http import DocumentedClient, rolled_back, stored_rows

FILE = Path(__file__).parents[2] / "docs" / "permissions.md"

DONE, NO, HOTEL, GONE, ANYBODY, SIGN_IN = "✓", "·", "✗", "∅", "401", "→"
WROTE = " **wrote!**"
SHORT = {
    rights.FRONT_DESK_AGENT: "agent",
    rights.FRONT_OFFICE_MANAGER: "office manager",
    rights.HOUSEKEEPER: "housekeeper",
    rights.HOUSEKEEPING_SUPERVISOR: "supervisor",
    rights.HOTEL_MANAGER: "manager",
    NOBODY: "no rights",
}
# The first prefix that fits names the area of an endpoint.
AREAS = (
    (("me/", "access-config/"), "Own profile and hotel settings"),
    (("room-management/", "room-types/"), "Rooms and room types"),
    (("room-blocks/", "block-reasons/"), "Room blocks"),
    (("rooms/checkin/", "rooms/checkout/"), "Bulk check-in and check-out"),
    (("housekeeping/tasks/",), "Housekeeping tasks"),
    (("turnover/", "rooms/", "housekeeping/"), "Room status and turnover"),
    (("availability/", "room-bookings/"), "Bookings"),
    (("events/",), "Missed events"),
)

HEAD = """# Permissions by role

This page is generated: `make permissions` calls every endpoint as every kind of caller and records the status. A test
fails if the page and the server differ. The rights of the roles are in [rights.py](../hotel/rights.py). A hotel can
grant or revoke rights in the admin; this page shows the roles as installed.

| mark | response |
|---|---|
| ✓ | done (2xx) |
| · | 403, the role lacks the right; nothing was written |
| ✗ | 403, not on that hotel's staff (the same if there is no such hotel); nothing was written |
| ∅ | 404, the caller's own hotel has no such object; nothing was written |
| 401 | sign in first |
| → | redirects to the sign-in page |
| other numbers | that status; nothing was written |

Callers: front desk **agent**, front **office manager**, **housekeeper**, housekeeping **supervisor**, hotel
**manager**, a staff member whose role has **no rights**, and **anonymous**, with no token or an invalid one.
"""
API = """
## Staff API, under `/api/staff/hotel/{slug}/`

**other hotel**: another hotel's manager, its staff member without rights, and its superuser call this hotel's URL.
**foreign id in URL**: each caller with a ✓ puts another hotel's object into the URL of their own hotel. **foreign id in
body**: the same in the body. For missed events, an invalid token returns 403, as for channels, and no token 401.
"""
CHANNELS = """
## Live channels, `POST /api/pusher/auth/`

Also at `/api/pusher/auth`, `/pusher/auth` and `/pusher/auth/`. **guest**: with the token of their own booking.
"""
BOARD = """
## Board, under `/board/`

**other hotel**: as above.
"""
ADMIN = """
## Admin, under `/admin/`

The admin requires Django's "staff status" flag (all members here have it); a role alone gives no access. **foreign id
in URL**: each caller with a ✓ opens a row of another hotel. **superuser**: of any hotel. Lists show only rows of the
caller's own hotel.

**Nobody can change a member with more rights.** The profile of a staff member who holds any right that the caller lacks
(by role, by group or directly; a superuser holds all) is read-only. Only a superuser, or a caller with all of those
rights, can deactivate that member or change their role. Nobody can assign a role that includes a right they lack, or
give themselves one. Managers rank equally. Only superusers can change users, groups and tokens; no API endpoint changes
any of these.
"""
OTHERS = """
## Everything else

| endpoint | requires |
|---|---|
"""
OPEN = (
    ("POST /api/staff/login/", "a user name and a password; throttled"),
    ("GET /api/docs/", "nothing; contains no hotel's data"),
    ("GET /api/schema/", "nothing; contains no hotel's data"),
    ("GET /board/sign-in/", "nothing"),
    ("GET /admin/login/", "nothing"),
    ("GET /healthz", "nothing; returns that the process is alive"),
    ("GET /readyz", "nothing; returns whether the database is available, its role, and how many events are waiting"),
)
CLOSED = (
    ("POST /api/staff/logout/", 401, "a token or a session"),
    ("GET /metrics", 401, "`METRICS_TOKEN`; 404 if the settings have none"),
)


def document() -> str:
    """The whole page, for two hotels created for it; within a test's transaction."""
    hotel, other = HotelFactory(slug="grand"), HotelFactory(slug="other")
    return "".join([HEAD, API, *staff_api(hotel, other), CHANNELS, *channels(hotel, other), BOARD, *board(hotel, other),
                    ADMIN, *admin_pages(hotel, other), OTHERS, *others()])  # fmt: skip


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def table_head(first: str, *columns: str) -> str:
    return "\n" + row(first, *columns) + row("---", *[":-:"] * len(columns))


def members(hotel: Hotel, *, flag: bool = False) -> dict[str, Staff]:
    """One staff member of each role, and one without rights."""
    Group.objects.get_or_create(name=NOBODY)
    return {role: StaffFactory(hotel=hotel, role=role, user__is_staff=flag) for role in (*ROLES, NOBODY)}


class Requester:
    """Sends requests, once all the objects that they name exist."""

    def __init__(self) -> None:
        self.before = stored_rows()

    def mark(self, ask: Callable[..., Any], *arguments: Any) -> str:
        """The response as a mark. Its changes are rolled back; a refusal that changed anything is marked as such."""
        with rolled_back():
            found = mark_of(ask(*arguments))
            return found if found == DONE or stored_rows() == self.before else found + WROTE


def mark_of(answer: Any) -> str:
    status = answer.status_code
    if 200 <= status < 300:
        return DONE
    if status == 302:
        return SIGN_IN if "sign-in" in answer["Location"] or "login" in answer["Location"] else GONE
    if status == 403:
        is_json = answer["Content-Type"].startswith("application/json")
        is_hotel = is_json and answer.json()["code"] == "HOTEL_ACCESS_DENIED"
        return HOTEL if is_hotel or b"not on the staff of this hotel" in answer.content else NO
    return GONE if status == 404 else str(status)


def together(marks: Iterable[str]) -> str:
    """The distinct marks; one if all are the same."""
    return " ".join(sorted(set(marks)))


def strangers_of(other: Hotel) -> list[Staff]:
    """The member with the most and the one with the fewest rights in another hotel, and a superuser on its staff."""
    own = members(other)
    mighty = StaffFactory(hotel=other, role=rights.HOTEL_MANAGER, user__is_staff=True, user__is_superuser=True)
    return [own[rights.HOTEL_MANAGER], own[NOBODY], mighty]


# --- the API ----------------------------------------------------------------------------------------------------------


def staff_api(hotel: Hotel, other: Hotel) -> Iterable[str]:
    own = members(hotel)
    things, theirs = endpoint_targets(hotel), endpoint_targets(other, first=901)
    clients = {role: token_client(member) for role, member in own.items()}
    strangers = [token_client(member) for member in strangers_of(other)]
    dead = DocumentedClient(raise_request_exception=False)
    dead.credentials(HTTP_AUTHORIZATION="Token dead")
    nobodies = [DocumentedClient(raise_request_exception=False), dead]
    requester = Requester()

    def cells(endpoint: Endpoint) -> Iterable[str]:
        def ask(client: Any, at: SimpleNamespace = things, named: SimpleNamespace = things) -> str:
            return requester.mark(call, endpoint, client, at, named)

        marks = {}
        for role, client in clients.items():
            # Completing a task that is assigned to someone else takes the right task_assign.
            HousekeepingTask.objects.filter(pk=things.started_task).update(assigned_to=own[role])
            requester.before = stored_rows()
            marks[role] = ask(client)
        yield from marks.values()
        yield together(map(ask, nobodies))
        yield together(map(ask, strangers))
        allowed = [clients[role] for role, found in marks.items() if found == DONE]
        yield together(ask(client, at=theirs) for client in allowed) if endpoint.target else ""
        yield together(ask(client, named=theirs) for client in allowed) if "$" in str(endpoint.body) else ""

    columns = (*(SHORT[role] for role in own), "anonymous", "other hotel", "foreign id in URL", "foreign id in body")
    for title, endpoints in by_area().items():
        yield f"\n### {title}\n"
        yield table_head("endpoint", *columns)
        for endpoint in endpoints:
            yield row(shown(endpoint), *cells(endpoint))


def shown(endpoint: Endpoint) -> str:
    """The endpoint as the page shows it."""
    return "`" + re.sub(r"<\w+:(\w+)>", r"{\1}", endpoint.name + endpoint.query) + "`"


def by_area() -> dict[str, list[Endpoint]]:
    """Every endpoint, in the order of ``AREAS``."""
    areas: dict[str, list[Endpoint]] = {title: [] for _, title in AREAS}
    for endpoint in ENDPOINTS:
        areas[next(title for prefixes, title in AREAS if endpoint.route.startswith(prefixes))].append(endpoint)
    return areas


def call(endpoint: Endpoint, client: Any, things: SimpleNamespace, named: SimpleNamespace) -> Any:
    """Call the endpoint on ``things``, with a body that names objects of ``named``."""
    return getattr(client, endpoint.method.lower())(endpoint.path("grand", things), endpoint.filled_body(named))


def channels(hotel: Hotel, other: Hotel) -> Iterable[str]:
    own = members(hotel)
    clients = {SHORT[role]: [token_client(member)] for role, member in own.items()}
    booking, another = booking_in("CONFIRMED", hotel=hotel), booking_in("CONFIRMED", hotel=hotel)
    RoomBooking.objects.filter(pk=booking.pk).update(guest_token_hash=hash_token("guest"))
    guest = DocumentedClient(raise_request_exception=False)
    guest.credentials(HTTP_AUTHORIZATION="GuestToken guest")
    clients["guest"] = [guest]
    clients["anonymous"] = [DocumentedClient(raise_request_exception=False)]
    clients["other hotel"] = [token_client(member) for member in strangers_of(other)]
    asked = {
        "private-{slug}.rooms": "private-grand.rooms",
        "private-{slug}.room-bookings": "private-grand.room-bookings",
        "private-guest-booking.{own}": f"private-guest-booking.{booking.booking_id}",
        "private-guest-booking.{another's}": f"private-guest-booking.{another.booking_id}",
    }
    requester = Requester()
    yield table_head("channel", *clients)
    for name, channel in asked.items():
        body = {"socket_id": "123.456", "channel_name": channel}
        marks = [
            together(requester.mark(ask.post, "/api/pusher/auth/", body) for ask in some) for some in clients.values()
        ]
        yield row(f"`{name}`", *marks)


# --- pages ------------------------------------------------------------------------------------------------------------


def browser(user: Any = None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def board(hotel: Hotel, other: Hotel) -> Iterable[str]:
    clients = {SHORT[role]: [browser(member.user)] for role, member in members(hotel).items()}
    clients["anonymous"] = [browser()]
    clients["other hotel"] = [browser(member.user) for member in strangers_of(other)]
    requester = Requester()
    yield table_head("page", *clients)
    for path in ("{slug}/", "{slug}/state/", "{slug}/turn-times/"):
        address = f"/board/{path.replace('{slug}', 'grand')}"
        marks = [together(requester.mark(client.get, address) for client in some) for some in clients.values()]
        yield row(f"`GET {path}`", *marks)


def admin_pages(hotel: Hotel, other: Hotel) -> Iterable[str]:
    rows, theirs = create_rows("Grandeur", hotel), create_rows("Zanzibar", other)
    own = {SHORT[role]: browser(member.user) for role, member in members(hotel, flag=True).items()}
    clients = own | {"superuser": browser(UserFactory(is_staff=True, is_superuser=True)), "anonymous": browser()}
    requester = Requester()
    yield table_head("rows: action", *clients, "foreign id in URL")
    for model in registered_models():
        for verb, ask in verbs(model).items():
            marks = {name: requester.mark(ask, client, rows[model]) for name, client in clients.items()}
            allowed = [client for name, client in own.items() if marks[name] == DONE]
            elsewhere = (requester.mark(ask, client, theirs[model]) for client in allowed if verb in ROW_PERMISSIONS)
            yield row(f"{model._meta.verbose_name_plural}: {verb}", *marks.values(), together(elsewhere))


ROW_PERMISSIONS = ("view", "change", "delete")


def verbs(model: type[Model]) -> dict[str, Callable[[Client, Model], Any]]:
    """The admin actions on rows of a model; for "change", submitting an empty form."""

    def address(kind: str, thing: Model) -> str:
        return admin_url(model, kind, quote(thing.pk))

    return {
        "list": lambda client, _: client.get(admin_url(model, "changelist")),
        "view": lambda client, thing: client.get(address("change", thing)),
        "add": lambda client, _: client.get(admin_url(model, "add")),
        "change": lambda client, thing: client.post(address("change", thing), {"_continue": "1"}),
        "delete": lambda client, thing: client.get(address("delete", thing)),
    }


# --- the rest ---------------------------------------------------------------------------------------------------------


def others() -> Iterable[str]:
    client = DocumentedClient(raise_request_exception=False)
    for address, needs in OPEN:
        method, path = address.split()
        status = getattr(client, method.lower())(path).status_code
        # A sign-in without a user name gets past the permission check and is refused as malformed.
        assert status == (400 if method == "POST" else 200), (address, status)
        yield row(f"`{address}`", needs)
    for address, refusal, needs in CLOSED:
        method, path = address.split()
        status = getattr(client, method.lower())(path).status_code
        assert status == refusal, (address, status)
        yield row(f"`{address}`", needs)
