"""The rights that clients check, the roles that hold them, and the Django permission behind each.

A right is a Django permission whose label is ``module.action`` (``rooms.inspect``). The roles are Django groups, made
by a migration from ``ROLE_RIGHTS``; a hotel may add or remove rights in the admin.
"""

from collections.abc import Iterable
from typing import Any

ACTIONS: dict[str, tuple[str, ...]] = {
    "rooms": (
        "inventory_create",
        "inventory_update",
        "inventory_delete",
        "type_manage",
        "inspect",
        "maintenance_flag",
        "maintenance_clear",
        "status_transition",
        "checkout_bulk",
        "checkout_destructive",
        "block_manage",
        "block_inventory",
    ),
    "housekeeping": (
        "status_transition",
        "status_front_desk",
        "status_override",
        "dashboard_read",
        "status_history_read",
        "task_read",
        "task_create",
        "task_update",
        "task_assign",
        "task_execute",
        "task_cancel",
    ),
    "bookings": (
        "create",
        "update",
        "cancel",
        "assign_room",
        "checkin",
        "checkout",
        "supervise",
        "resolve_overstay",
        "extend",
        "communicate",
        "manage_rules",
    ),
}

# Module → (app label, model name) of the content type of its permissions.
HOMES = {
    "rooms": ("rooms", "room"),
    "housekeeping": ("housekeeping", "roomstatusevent"),
    "bookings": ("room_bookings", "roombooking"),
}


def permissions(module: str) -> list[tuple[str, Any]]:
    """``Meta.permissions`` of the module's home model."""
    return [(action, f"{module}: {action.replace('_', ' ')}") for action in ACTIONS[module]]


def permission(right: str) -> str:
    """Django's label of a right: ``bookings.checkin`` → ``room_bookings.checkin``."""
    module, _, action = right.partition(".")
    return f"{HOMES[module][0]}.{action}"


ALL_RIGHTS = frozenset(f"{module}.{action}" for module, actions in ACTIONS.items() for action in actions)


def _of(module: str, actions: Iterable[str]) -> set[str]:
    return {f"{module}.{action}" for action in actions}


FRONT_DESK_AGENT = "front desk agent"
FRONT_OFFICE_MANAGER = "front office manager"
HOUSEKEEPER = "housekeeper"
HOUSEKEEPING_SUPERVISOR = "housekeeping supervisor"
HOTEL_MANAGER = "hotel manager"

_agent = (
    _of("rooms", ["maintenance_flag", "checkout_bulk", "checkout_destructive"])
    | _of("housekeeping", ["status_front_desk", "dashboard_read", "status_history_read", "task_read", "task_create"])
    | _of("bookings", set(ACTIONS["bookings"]) - {"supervise", "manage_rules"})
)
_housekeeper = _of("rooms", ["status_transition", "maintenance_flag"]) | _of(
    "housekeeping", ["status_transition", "dashboard_read", "task_read", "task_execute"]
)

ROLE_RIGHTS: dict[str, frozenset[str]] = {
    FRONT_DESK_AGENT: frozenset(_agent),
    FRONT_OFFICE_MANAGER: frozenset(
        _agent
        | _of("bookings", ["supervise", "manage_rules"])
        | _of("rooms", ["maintenance_clear", "inventory_update", "block_manage"])
        | _of("housekeeping", ["task_assign"])
    ),
    HOUSEKEEPER: frozenset(_housekeeper),
    HOUSEKEEPING_SUPERVISOR: frozenset(
        _housekeeper
        | _of("rooms", ["inspect", "maintenance_clear", "block_manage"])
        | _of("housekeeping", ["status_history_read", "task_create", "task_update", "task_assign", "task_cancel"])
    ),
    HOTEL_MANAGER: ALL_RIGHTS,
}

# What a hotel manager may open in the Django admin, beside the rights above: (app label, model) → actions.
MANAGER_ADMIN: dict[tuple[str, str], tuple[str, ...]] = {
    ("hotel", "hotel"): ("view", "change"),
    ("hotel", "staff"): ("view", "change"),
    ("rooms", "roomtype"): ("view", "add", "change", "delete"),
    ("rooms", "room"): ("view", "add", "change", "delete"),
    ("rooms", "roomblock"): ("view",),
    ("rooms", "blockreason"): ("view", "add", "change", "delete"),
    ("housekeeping", "roomstatusevent"): ("view",),
    ("housekeeping", "housekeepingtask"): ("view",),
    ("room_bookings", "roombooking"): ("view",),
}


def create_roles(apps: Any) -> None:
    """Create the five groups and add each one's rights; idempotent, removes no rights.

    ``apps`` is Django's app registry or a migration's historical one. Missing permission rows are created
    here, with the names that Django itself would give them after the migrations.
    """
    group_model = apps.get_model("auth", "Group")
    for role, rights in ROLE_RIGHTS.items():
        group, _ = group_model.objects.get_or_create(name=role)
        wanted = [
            _permission_row(apps, HOMES[module], action, f"{module}: {action.replace('_', ' ')}")
            for module, _, action in (right.partition(".") for right in sorted(rights))
        ]
        if role == HOTEL_MANAGER:
            wanted += [
                _permission_row(apps, home, f"{action}_{home[1]}", f"Can {action} {_verbose_name(apps, home)}")
                for home, actions in MANAGER_ADMIN.items()
                if home[1] in apps.all_models[home[0]]  # of a later migration, which gives it itself
                for action in actions
            ]
        group.permissions.add(*wanted)


def _permission_row(apps: Any, home: tuple[str, str], codename: str, name: str) -> Any:
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label=home[0], model=home[1]
    )
    row, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename=codename, defaults={"name": name}
    )
    return row


def _verbose_name(apps: Any, home: tuple[str, str]) -> str:
    return str(apps.get_model(*home)._meta.verbose_name)
