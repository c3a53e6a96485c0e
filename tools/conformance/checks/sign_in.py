"""Sign-in: login, logout, the permission payload, and the rights of each role."""

import json
from typing import Any

from tools.conformance.client import Member
from tools.conformance.report import Table
from tools.conformance.session import ROLES, Session
from tools.conformance.shapes import LOGIN, ME, NAVS, RBAC

TABLE = Table("Sign-in")
row = TABLE.row

ALL = {f"{module}.{action}" for module, actions in RBAC.items() for action in actions}
BOOKINGS = {right for right in ALL if right.startswith("bookings.")}
AGENT = {
    *("rooms.maintenance_flag", "rooms.checkout_bulk", "rooms.checkout_destructive"),
    *("housekeeping.status_front_desk", "housekeeping.dashboard_read", "housekeeping.status_history_read"),
    *("housekeeping.task_read", "housekeeping.task_create"),
    *(BOOKINGS - {"bookings.supervise", "bookings.manage_rules"}),
}
HOUSEKEEPER = {
    *("rooms.status_transition", "rooms.maintenance_flag", "housekeeping.status_transition"),
    *("housekeeping.dashboard_read", "housekeeping.task_read", "housekeeping.task_execute"),
}
RIGHTS = {
    "frontdesk": AGENT,
    "frontoffice": {
        *AGENT,
        *("bookings.supervise", "bookings.manage_rules", "rooms.maintenance_clear", "rooms.inventory_update"),
        "rooms.block_manage",
        "housekeeping.task_assign",
    },
    "housekeeper": HOUSEKEEPER,
    "supervisor": {
        *HOUSEKEEPER,
        *("rooms.inspect", "rooms.maintenance_clear", "housekeeping.status_history_read", "housekeeping.task_create"),
        "rooms.block_manage",
        *("housekeeping.task_update", "housekeeping.task_assign", "housekeeping.task_cancel"),
    },
    "manager": ALL,
}


def log_in(s: Session, username: str, password: str, status: int) -> Any:
    """Try to sign in; returns the body."""
    body = json.dumps({"username": username, "password": password})
    response, content = s.wire.send(
        "POST", "/api/staff/login/", headers={"Content-Type": "application/json"}, data=body
    )
    s.equal(response.status_code, status, f"signing in as {username}")
    return content


@row("POST /staff/login/: every field of the response")
def login(s: Session) -> None:
    body = log_in(s, f"{s.hotel}-manager", s.password, 200)
    s.matches(body, LOGIN, "the sign-in")
    s.equal(body["hotel"]["slug"], body["hotel_slug"], "hotel.slug")
    s.equal(set(body["rbac"]), set(RBAC), "the modules of rbac")
    s.equal(list(body["effective_navs"]), list(NAVS), "a manager's navs")
    s.equal(body["is_staff"], True, "is_staff")


@row("POST /staff/login/: the user name is case-insensitive")
def any_case(s: Session) -> None:
    name = f"{s.hotel}-manager"
    for typed in (name.upper(), name.title(), f" {name} "):
        s.equal(log_in(s, typed, s.password, 200)["username"], name, f"the name, typed as {typed!r}")


@row("POST /staff/login/: 401 wrong credentials, 403 no staff profile, 429")
def refused_logins(s: Session) -> None:
    log_in(s, f"{s.hotel}-manager", "wrong", 401)
    log_in(s, f"{s.hotel}-nobody" if s.own else "admin", s.password, 403)
    for _ in range(10):
        log_in(s, f"stranger-{s.run_id}", "wrong", 401)
    log_in(s, f"stranger-{s.run_id}", "wrong", 429)


@row("POST /staff/logout/: 204, the token is invalid")
def logout(s: Session) -> None:
    member = s.member("housekeeper")
    member.sign_in()
    member.post("/api/staff/logout/", status=204)
    member.get("me/", status=401)


@row("GET me/: the login payload and more")
def me(s: Session) -> None:
    body = s.manager.get("me/", shape=ME)
    s.equal(body["id"], body["staff_id"], "id")
    s.equal(body["full_name"], f"{body['first_name']} {body['last_name']}", "full_name")


@row("the rights of each role")
def roles(s: Session) -> None:
    members: list[tuple[str, Member]] = [(name, getattr(s, name)) for name in RIGHTS]
    for name, member in members:
        if not member.headers:
            s.not_reached("it has no front office manager")
            continue
        body = member.get("me/", shape=ME)
        held = {
            f"{module}.{action}"
            for module, part in body["rbac"].items()
            for action, may in part["actions"].items()
            if may
        }
        s.equal(held, RIGHTS[name], f"the rights of {name}")
        s.equal(body["role"], ROLES[name], f"the role of {name}")
        for module, part in body["rbac"].items():
            s.equal(part["visible"], any(part["actions"].values()), f"{module} visible to {name}")
        s.equal(body["is_staff"], True, f"is_staff of {name}")


@row("navs: by rights, known slugs only")
def navs(s: Session) -> None:
    for member, expected in (
        (s.housekeeper, ["home", "rooms", "housekeeping"]),
        (s.frontdesk, ["home", "rooms", "room_bookings", "housekeeping"]),
    ):
        s.equal(member.profile["effective_navs"], expected, f"the navs of {member.username}")
        s.equal([item["slug"] for item in member.profile["navigation_items"]], expected, "navigation_items")


@row("navigation_items: paths within the hotel's part of the staff app, in login and me")
def navigation_paths(s: Session) -> None:
    for payload in (s.manager.profile, s.manager.get("me/", shape=ME)):
        paths = [item["path"] for item in payload["navigation_items"]]
        s.equal(len(set(paths)), len(NAVS), "different paths")
        base = f"/staff/hotel/{s.hotel}/"
        s.equal([path for path in paths if not path.startswith(base)], [], f"paths outside {base}")


@row("status_transitions: the transitions that the role allows")
def transitions(s: Session) -> None:
    housekeeper = {
        "CHECKOUT_DIRTY": {"CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "MAINTENANCE_REQUIRED"},
        "CLEANING_IN_PROGRESS": {"CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
        "CLEANED_UNINSPECTED": {"CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
        "READY_FOR_GUEST": {"MAINTENANCE_REQUIRED"},
        "OCCUPIED": {"MAINTENANCE_REQUIRED"},
        "OUT_OF_ORDER": {"MAINTENANCE_REQUIRED"},
    }
    may = {
        status: set(targets) for status, targets in s.housekeeper.get("me/")["status_transitions"].items() if targets
    }
    s.equal(may, housekeeper, "the housekeeper's transitions")
    allowed = s.frontdesk.get("me/")["status_transitions"]
    expected = {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OCCUPIED"}
    s.equal(set(allowed["READY_FOR_GUEST"]), expected, "the agent's transitions from READY_FOR_GUEST")


@row("missing rights are 403: one call for each right")
def refusals(s: Session) -> None:
    room = s.room()
    rid, number, kind = room["id"], room["room_number"], s.type["id"]
    cleaner, desk = s.housekeeper, s.frontdesk
    for member, method, path, body in (
        (cleaner, "GET", "room-bookings/", None),
        (cleaner, "GET", "access-config/", None),
        (cleaner, "POST", "room-management/", {"room_number": s.new_number(), "room_type_id": kind}),
        (cleaner, "POST", f"rooms/{number}/complete-maintenance/", {}),
        (cleaner, "POST", f"rooms/{number}/inspect/", {}),
        (cleaner, "GET", f"rooms/{rid}/status-history/", None),
        (cleaner, "POST", "housekeeping/tasks/", {"room": rid, "task_type": "AMENITY"}),
        (cleaner, "POST", "rooms/checkin/", {"room_ids": [rid]}),
        (cleaner, "POST", "rooms/checkout/", {"room_ids": [rid]}),
        (desk, "PATCH", "access-config/", {"late_checkout_grace_minutes": 40}),
        (desk, "POST", f"rooms/{number}/start-cleaning/", {}),
        (desk, "PATCH", f"room-management/{rid}/", {"is_active": False}),
        (desk, "POST", "room-types/", {"name": "x", "code": "x"}),
        (desk, "POST", f"room-types/{kind}/rooms/bulk-create/", {"room_numbers": [s.new_number()]}),
        (s.supervisor, "DELETE", f"room-management/{rid}/", None),
    ):
        member.call(method, path, *([] if body is None else [body]), status=403, begins="Permission denied")
