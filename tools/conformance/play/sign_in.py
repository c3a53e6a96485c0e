"""Section 2: sign-in, the permission payload, and what each role may do."""

import json
from typing import Any

from tools.conformance.client import Member
from tools.conformance.report import Table
from tools.conformance.shapes import LOGIN, ME, NAVS, RBAC
from tools.conformance.world import ROLES, World

TABLE = Table("2")
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
        "housekeeping.task_assign",
    },
    "housekeeper": HOUSEKEEPER,
    "supervisor": {
        *HOUSEKEEPER,
        *("rooms.inspect", "rooms.maintenance_clear", "housekeeping.status_history_read", "housekeeping.task_create"),
        *("housekeeping.task_update", "housekeeping.task_assign", "housekeeping.task_cancel"),
    },
    "manager": ALL,
}


def log_in(w: World, username: str, password: str, status: int) -> Any:
    """One try; returns the body."""
    body = json.dumps({"username": username, "password": password})
    answer, said = w.wire.send("POST", "/api/staff/login/", headers={"Content-Type": "application/json"}, data=body)
    w.see(answer.status_code, status, f"signing in as {username}")
    return said


@row("POST /staff/login/: every field of the answer")
def login(w: World) -> None:
    body = log_in(w, f"{w.hotel}-manager", w.password, 200)
    w.has(body, LOGIN, "the sign-in")
    w.see(body["hotel"]["slug"], body["hotel_slug"], "hotel.slug")
    w.see(set(body["rbac"]), set(RBAC), "the modules of rbac")
    w.see(list(body["effective_navs"]), list(NAVS), "a manager's navs")
    w.see(body["is_staff"], True, "is_staff")


@row("POST /staff/login/: a user name in any case")
def any_case(w: World) -> None:
    name = f"{w.hotel}-manager"
    for typed in (name.upper(), name.title(), f" {name} "):
        w.see(log_in(w, typed, w.password, 200)["username"], name, f"the name, typed as {typed!r}")


@row("POST /staff/login/: 401 wrong credentials, 403 no staff profile, 429")
def refused_logins(w: World) -> None:
    log_in(w, f"{w.hotel}-manager", "wrong", 401)
    log_in(w, f"{w.hotel}-nobody" if w.own else "admin", w.password, 403)
    for _ in range(10):
        log_in(w, f"stranger-{w.run}", "wrong", 401)
    log_in(w, f"stranger-{w.run}", "wrong", 429)


@row("POST /staff/logout/: 204, the token is dead")
def logout(w: World) -> None:
    member = w.member("housekeeper")
    member.sign_in()
    member.post("/api/staff/logout/", status=204)
    member.get("me/", status=401)


@row("GET me/: the payload and more")
def me(w: World) -> None:
    body = w.manager.get("me/", shape=ME)
    w.see(body["id"], body["staff_id"], "id")
    w.see(body["full_name"], f"{body['first_name']} {body['last_name']}", "full_name")


@row("the rights of each role are those of the table")
def roles(w: World) -> None:
    members: list[tuple[str, Member]] = [(name, getattr(w, name)) for name in RIGHTS]
    for name, member in members:
        if not member.headers:
            w.not_reached("it has no front office manager")
            continue
        body = member.get("me/", shape=ME)
        held = {
            f"{module}.{action}"
            for module, part in body["rbac"].items()
            for action, may in part["actions"].items()
            if may
        }
        w.see(held, RIGHTS[name], f"the rights of {name}")
        w.see(body["role"], ROLES[name], f"the role of {name}")
        for module, part in body["rbac"].items():
            w.see(part["visible"], any(part["actions"].values()), f"{module} visible to {name}")
        w.see(body["is_staff"], True, f"is_staff of {name}")


@row("navs: by rights, known slugs only")
def navs(w: World) -> None:
    for member, wanted in (
        (w.housekeeper, ["home", "rooms", "housekeeping"]),
        (w.frontdesk, ["home", "rooms", "room_bookings", "housekeeping"]),
    ):
        w.see(member.profile["effective_navs"], wanted, f"the navs of {member.username}")
        w.see([item["slug"] for item in member.profile["navigation_items"]], wanted, "navigation_items")


@row("navigation_items: paths within the hotel's part of the staff app, in login and me")
def navigation_paths(w: World) -> None:
    for payload in (w.manager.profile, w.manager.get("me/", shape=ME)):
        paths = [item["path"] for item in payload["navigation_items"]]
        w.see(len(set(paths)), len(NAVS), "different paths")
        base = f"/staff/hotel/{w.hotel}/"
        w.see([path for path in paths if not path.startswith(base)], [], f"paths outside {base}")


@row("status_transitions: what the member may do by role")
def transitions(w: World) -> None:
    housekeeper = {
        "CHECKOUT_DIRTY": {"CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "MAINTENANCE_REQUIRED"},
        "CLEANING_IN_PROGRESS": {"CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
        "CLEANED_UNINSPECTED": {"CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
        "READY_FOR_GUEST": {"MAINTENANCE_REQUIRED"},
        "OCCUPIED": {"MAINTENANCE_REQUIRED"},
        "OUT_OF_ORDER": {"MAINTENANCE_REQUIRED"},
    }
    may = {status: set(steps) for status, steps in w.housekeeper.get("me/")["status_transitions"].items() if steps}
    w.see(may, housekeeper, "the housekeeper's steps")
    may = w.frontdesk.get("me/")["status_transitions"]
    wanted = {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OCCUPIED"}
    w.see(set(may["READY_FOR_GUEST"]), wanted, "the agent's steps from READY_FOR_GUEST")


@row("missing rights are 403: who may what, one call for each key")
def refusals(w: World) -> None:
    room = w.room()
    rid, number, kind = room["id"], room["room_number"], w.type["id"]
    cleaner, desk = w.housekeeper, w.frontdesk
    for member, method, path, body in (
        (cleaner, "GET", "room-bookings/", None),
        (cleaner, "GET", "access-config/", None),
        (cleaner, "POST", "room-management/", {"room_number": w.new_number(), "room_type_id": kind}),
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
        (desk, "POST", f"room-types/{kind}/rooms/bulk-create/", {"room_numbers": [w.new_number()]}),
        (w.supervisor, "DELETE", f"room-management/{rid}/", None),
    ):
        member.call(method, path, *([] if body is None else [body]), status=403, begins="Permission denied")
