"""Who may do what, as a table: every address, asked by every kind of caller, and what the server really answered."""

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
from tests.admin.world import live, page, registered
from tests.conftest import token_client
from tests.endpoints import ENDPOINTS, NOBODY, ROLES, Endpoint, endpoint_targets
from tests.factories import HotelFactory, StaffFactory, UserFactory, booking_in
from tests.http import DocumentedClient, rolled_back, stored_rows

FILE = Path(__file__).parents[2] / "docs" / "permissions.md"

DONE, NO, HOTEL, GONE, ANYBODY, SIGN_IN = "✓", "·", "✗", "∅", "401", "→"
WROTE = " **wrote!**"
SHORT = {
    rights.FRONT_DESK_AGENT: "agent",
    rights.FRONT_OFFICE_MANAGER: "office",
    rights.HOUSEKEEPER: "cleans",
    rights.HOUSEKEEPING_SUPERVISOR: "superv.",
    rights.HOTEL_MANAGER: "manager",
    NOBODY: "no rights",
}
# The first prefix that fits names the area of an address.
AREAS = (
    (("me/", "access-config/"), "Oneself and the house's settings"),
    (("room-management/", "room-types/"), "Rooms and room types as such"),
    (("rooms/checkin/", "rooms/checkout/"), "Many arrivals and departures at once"),
    (("housekeeping/tasks/",), "Housekeeping tasks"),
    (("turnover/", "rooms/", "housekeeping/"), "Room status and turnover"),
    (("room-bookings/",), "Bookings"),
    (("events/",), "Missed events"),
)

HEAD = """# Who may do what

Asked of the server, not written by hand: `make permissions` asks every address as every kind of caller and writes down
what was answered; a test fails where this page and the server differ. The roles' rights are in
[rights.py](../hotel/rights.py); a house may give or take rights in the admin, and this page shows the roles as they are
made.

| mark | answer |
|---|---|
| ✓ | done (2xx) |
| · | 403, the role does not include it; nothing was written |
| ✗ | 403, not on the staff of that hotel; nothing was written, and whether that hotel exists is not told |
| ∅ | 404, there is no such thing in one's own hotel; nothing was written |
| 401 | sign in first |
| → | led to the sign-in |
| other numbers | that status, and nothing was written |

Callers: front desk **agent**, front **office** manager, housekeeper (**cleans**), housekeeping **superv**isor, hotel
**manager**, a member of staff whose role has **no rights**, and **nobody**, who has no token or a dead one.
"""
API = """
## Staff API, under `/api/staff/hotel/{slug}/`

**other hotel**: a manager, one without rights, a superuser, each of another hotel, at this one's address. **its
object**: whoever has a ✓ names an object of another hotel in the address, under their own hotel. **in the body**: the
same, but in the body. Whoever asks for missed events with a dead token gets the 403 of a channel, and with none 401.
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

For who has Django's flag "staff status" (here all have it); a role alone opens nothing here. **its object**: whoever
has a ✓ asks for a row of another hotel; **superuser**: of any hotel. Lists show the own hotel's rows only.

**Nobody changes somebody with more rights.** The profile of a staff member who holds any right that the caller does not
(by role, group, or given to them alone; a superuser holds all) is read and not changed: only a superuser or somebody
with all those rights deactivates them or gives them another role. Nobody gives a role with a right that they do not
hold, and nobody gives themselves one. Managers are equals. Users, groups and tokens are a superuser's alone; no
endpoint of the API changes any of it.
"""
OTHERS = """
## Everything else

| address | needs |
|---|---|
"""
OPEN = (
    ("POST /api/staff/login/", "a user name and a password; throttled"),
    ("GET /api/docs/", "nothing: says nothing of any house"),
    ("GET /api/schema/", "nothing: says nothing of any house"),
    ("GET /board/sign-in/", "nothing"),
    ("GET /admin/login/", "nothing"),
    ("GET /healthz", "nothing: that the process lives"),
    ("GET /readyz", "nothing: that the database answers, and how many events wait"),
)
CLOSED = (
    ("POST /api/staff/logout/", 401, "a token or a session"),
    ("GET /metrics", 401, "`METRICS_TOKEN`; without one in the settings there is no such address"),
)


def document() -> str:
    """The whole page, of a house and another one that are made for it; within a test's transaction."""
    hotel, other = HotelFactory(slug="grand"), HotelFactory(slug="other")
    return "".join([HEAD, API, *staff_api(hotel, other), CHANNELS, *channels(hotel, other), BOARD, *board(hotel, other),
                    ADMIN, *admin_pages(hotel, other), OTHERS, *others()])  # fmt: skip


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def table_head(first: str, *columns: str) -> str:
    return "\n" + row(first, *columns) + row("---", *[":-:"] * len(columns))


def members(hotel: Hotel, *, flag: bool = False) -> dict[str, Staff]:
    """One of each role, and one without rights."""
    Group.objects.get_or_create(name=NOBODY)
    return {role: StaffFactory(hotel=hotel, role=role, user__is_staff=flag) for role in (*ROLES, NOBODY)}


class Asker:
    """Asks, once everything is there that is asked for."""

    def __init__(self) -> None:
        self.before = stored_rows()

    def mark(self, ask: Callable[..., Any], *arguments: Any) -> str:
        """What is answered, as a mark; whatever it changes is taken back, and no refusal may change anything."""
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
    """One mark where all are the same."""
    return " ".join(sorted(set(marks)))


def strangers_of(other: Hotel) -> list[Staff]:
    """Who may most and who may least in another hotel, and a superuser on its staff."""
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
    asker = Asker()

    def cells(endpoint: Endpoint) -> Iterable[str]:
        def ask(client: Any, at: SimpleNamespace = things, named: SimpleNamespace = things) -> str:
            return asker.mark(call, endpoint, client, at, named)

        marks = {}
        for role, client in clients.items():
            # Who has begun a task completes it.
            HousekeepingTask.objects.filter(pk=things.started_task).update(assigned_to=own[role])
            asker.before = stored_rows()
            marks[role] = ask(client)
        yield from marks.values()
        yield together(map(ask, nobodies))
        yield together(map(ask, strangers))
        allowed = [clients[role] for role, found in marks.items() if found == DONE]
        yield together(ask(client, at=theirs) for client in allowed) if endpoint.target else ""
        yield together(ask(client, named=theirs) for client in allowed) if "$" in str(endpoint.body) else ""

    columns = (*(SHORT[role] for role in own), "nobody", "other hotel", "its object", "in the body")
    for title, endpoints in by_area().items():
        yield f"\n### {title}\n"
        yield table_head("address", *columns)
        for endpoint in endpoints:
            yield row(shown(endpoint), *cells(endpoint))


def shown(endpoint: Endpoint) -> str:
    """The endpoint as the page has it."""
    return "`" + re.sub(r"<\w+:(\w+)>", r"{\1}", endpoint.name + endpoint.query) + "`"


def by_area() -> dict[str, list[Endpoint]]:
    """The endpoints in the order of ``AREAS``; none is left out."""
    areas: dict[str, list[Endpoint]] = {title: [] for _, title in AREAS}
    for endpoint in ENDPOINTS:
        areas[next(title for prefixes, title in AREAS if endpoint.route.startswith(prefixes))].append(endpoint)
    return areas


def call(endpoint: Endpoint, client: Any, things: SimpleNamespace, named: SimpleNamespace) -> Any:
    """The endpoint at ``things``, with a body that names those of ``named``."""
    return getattr(client, endpoint.method.lower())(endpoint.path("grand", things), endpoint.filled_body(named))


def channels(hotel: Hotel, other: Hotel) -> Iterable[str]:
    own = members(hotel)
    clients = {SHORT[role]: [token_client(member)] for role, member in own.items()}
    booking, another = booking_in("CONFIRMED", hotel=hotel), booking_in("CONFIRMED", hotel=hotel)
    RoomBooking.objects.filter(pk=booking.pk).update(guest_token_hash=hash_token("guest"))
    guest = DocumentedClient(raise_request_exception=False)
    guest.credentials(HTTP_AUTHORIZATION="GuestToken guest")
    clients["guest"] = [guest]
    clients["nobody"] = [DocumentedClient(raise_request_exception=False)]
    clients["other hotel"] = [token_client(member) for member in strangers_of(other)]
    asked = {
        "private-{slug}.rooms": "private-grand.rooms",
        "private-{slug}.room-bookings": "private-grand.room-bookings",
        "private-guest-booking.{own}": f"private-guest-booking.{booking.booking_id}",
        "private-guest-booking.{another's}": f"private-guest-booking.{another.booking_id}",
    }
    asker = Asker()
    yield table_head("channel", *clients)
    for name, channel in asked.items():
        body = {"socket_id": "123.456", "channel_name": channel}
        marks = [together(asker.mark(ask.post, "/api/pusher/auth/", body) for ask in some) for some in clients.values()]
        yield row(f"`{name}`", *marks)


# --- pages ------------------------------------------------------------------------------------------------------------


def browser(user: Any = None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def board(hotel: Hotel, other: Hotel) -> Iterable[str]:
    clients = {SHORT[role]: [browser(member.user)] for role, member in members(hotel).items()}
    clients["nobody"] = [browser()]
    clients["other hotel"] = [browser(member.user) for member in strangers_of(other)]
    asker = Asker()
    yield table_head("page", *clients)
    for path in ("{slug}/", "{slug}/state/", "{slug}/turn-times/"):
        address = f"/board/{path.replace('{slug}', 'grand')}"
        marks = [together(asker.mark(client.get, address) for client in some) for some in clients.values()]
        yield row(f"`GET {path}`", *marks)


def admin_pages(hotel: Hotel, other: Hotel) -> Iterable[str]:
    rows, theirs = live("Grandeur", hotel), live("Zanzibar", other)
    own = {SHORT[role]: browser(member.user) for role, member in members(hotel, flag=True).items()}
    clients = own | {"superuser": browser(UserFactory(is_staff=True, is_superuser=True)), "nobody": browser()}
    asker = Asker()
    yield table_head("rows: what is done", *clients, "its object")
    for model in registered():
        for verb, ask in verbs(model).items():
            marks = {name: asker.mark(ask, client, rows[model]) for name, client in clients.items()}
            allowed = [client for name, client in own.items() if marks[name] == DONE]
            elsewhere = (asker.mark(ask, client, theirs[model]) for client in allowed if verb in OF_A_ROW)
            yield row(f"{model._meta.verbose_name_plural}: {verb}", *marks.values(), together(elsewhere))


OF_A_ROW = ("view", "change", "delete")


def verbs(model: type[Model]) -> dict[str, Callable[[Client, Model], Any]]:
    """What may be done with rows of a model; of changing, the form that is sent without anything in it."""

    def address(kind: str, thing: Model) -> str:
        return page(model, kind, quote(thing.pk))

    return {
        "list": lambda client, _: client.get(page(model, "changelist")),
        "view": lambda client, thing: client.get(address("change", thing)),
        "add": lambda client, _: client.get(page(model, "add")),
        "change": lambda client, thing: client.post(address("change", thing), {"_continue": "1"}),
        "delete": lambda client, thing: client.get(address("delete", thing)),
    }


# --- the rest ---------------------------------------------------------------------------------------------------------


def others() -> Iterable[str]:
    client = DocumentedClient(raise_request_exception=False)
    for address, needs in OPEN:
        method, path = address.split()
        status = getattr(client, method.lower())(path).status_code
        # A sign-in without a name is read, and refused for that.
        assert status == (400 if method == "POST" else 200), (address, status)
        yield row(f"`{address}`", needs)
    for address, refusal, needs in CLOSED:
        method, path = address.split()
        status = getattr(client, method.lower())(path).status_code
        assert status == refusal, (address, status)
        yield row(f"`{address}`", needs)
