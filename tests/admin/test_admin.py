"""The Django admin for a hotel's manager: only their hotel, and no way around the services."""

from decimal import Decimal
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.services import set_room_status
from notifications.models import RealtimeEvent
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.admin.every_model import planned_block
from tests.factories import (
    PASSWORD,
    HotelFactory,
    NewRoomFactory,
    RoomTypeFactory,
    StaffFactory,
    TaskFactory,
    room_in,
)
from tests.unknown_constraint import unknown_constraint

pytestmark = pytest.mark.django_db

SCOPED = [Hotel, Staff, RoomType, Room, BlockReason, RoomBlock, RoomStatusEvent, HousekeepingTask]


@pytest.fixture
def manager_browser(manager) -> Client:
    """A client signed in as the hotel's manager."""
    client = Client()
    client.force_login(manager.user)
    return client


@pytest.fixture
def superuser_browser(db) -> Client:
    """A client signed in as a superuser without a hotel."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def page(model, name: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def one_of_each(hotel: Hotel) -> dict[type, object]:
    """A row of every model that the admin scopes by hotel, all of ``hotel``."""
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    member = StaffFactory(hotel=hotel)
    set_room_status(room=room, to_status="MAINTENANCE_REQUIRED", staff=member, note=f"noted at {hotel.slug}")
    reason = BlockReason.objects.create(hotel=hotel, code="REPAIR", label="Repair")
    return {
        Hotel: hotel,
        Staff: member,
        RoomType: room.room_type,
        Room: room,
        BlockReason: reason,
        RoomBlock: planned_block(room, reason, StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER)),
        RoomStatusEvent: room.status_event,
        HousekeepingTask: TaskFactory(room=room),
    }


def test_every_model_in_the_admin_is_scoped_by_hotel():
    ours = {
        model for model in admin.site._registry if model.__module__.split(".")[0] in ("hotel", "rooms", "housekeeping")
    }
    assert ours == set(SCOPED)


@pytest.mark.parametrize("model", SCOPED, ids=lambda model: model.__name__)
def test_a_manager_sees_only_their_hotel(model, manager_browser, manager):
    own, other = one_of_each(manager.hotel)[model], one_of_each(HotelFactory(slug="other"))[model]
    listed = manager_browser.get(page(model, "changelist"))
    assert listed.status_code == 200
    results = [row.pk for row in listed.context["cl"].queryset]
    assert own.pk in results
    assert other.pk not in results
    assert manager_browser.get(page(model, "change", own.pk)).status_code == 200
    for name in ("change", "delete", "history"):
        assert manager_browser.get(page(model, name, other.pk)).status_code in (302, 403), name


def test_a_superuser_sees_every_hotel(superuser_browser, hotel):
    own, other = one_of_each(hotel)[Room], one_of_each(HotelFactory())[Room]
    rows = superuser_browser.get(page(Room, "changelist")).context["cl"].queryset
    assert set(rows) == {own, other}


def test_a_housekeeper_cannot_open_the_admin(housekeeper):
    client = Client()
    client.force_login(housekeeper.user)
    assert client.get("/admin/").status_code == 302


def test_a_deactivated_manager_loses_access_immediately(manager_browser, manager):
    assert manager_browser.get("/admin/").status_code == 200
    manager.is_active = False
    manager.save()
    assert manager_browser.get("/admin/").status_code == 302


def test_form_choices_are_limited_to_the_managers_hotel(manager_browser, manager):
    own, other = RoomTypeFactory(hotel=manager.hotel), RoomTypeFactory()
    form = manager_browser.get(page(Room, "add")).context["adminform"].form
    assert set(form.fields["room_type"].queryset) == {own}
    assert other not in form.fields["room_type"].queryset
    assert "hotel" not in form.fields
    assert "room_status" not in form.fields


def test_a_new_room_gets_the_managers_hotel(manager_browser, manager):
    room_type = RoomTypeFactory(hotel=manager.hotel)
    manager_browser.post(page(Room, "add"), {"room_number": 7, "room_type": room_type.pk, "is_active": "on"})
    assert Room.objects.get().hotel == manager.hotel


def test_the_room_form_does_not_write_the_status(manager_browser, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel, room_number=101)
    data = {
        "room_number": 102,
        "room_type": room.room_type_id,
        "is_active": "on",
        "room_status": "READY_FOR_GUEST",
        "status_version": 9,
        "maintenance_required": "on",
    }
    assert manager_browser.post(page(Room, "change", room.pk), data).status_code == 302
    room.refresh_from_db()
    assert (room.room_number, room.room_status, room.status_version, room.maintenance_required) == (
        102,
        "CHECKOUT_DIRTY",
        1,
        False,
    )
    assert RealtimeEvent.objects.latest("pk").envelope["payload"]["changed_fields"] == ["room_number", "updated_at"]


def test_a_form_shows_the_services_refusal(manager_browser, manager):
    room = room_in("OCCUPIED", hotel=manager.hotel)
    data = {"room_number": room.room_number, "room_type": room.room_type_id, "initial-is_active": "True"}
    answer = manager_browser.post(page(Room, "change", room.pk), data, follow=True)
    assert "Room occupied" in answer.content.decode()
    assert Room.objects.get(pk=room.pk).is_active


def test_a_room_is_connected_by_number_in_the_admin(manager_browser, manager):
    first, second = (room_in("READY_FOR_GUEST", hotel=manager.hotel, room_number=number) for number in (101, "12A"))
    NewRoomFactory(hotel=HotelFactory(slug="next-door"), room_number=201)
    form = {"room_type": first.room_type_id, "initial-is_active": "True", "is_active": "on"}
    data = {**form, "room_number": 101, "connecting_rooms": "12a", "building": "Garden wing", "features": ""}
    manager_browser.post(page(Room, "change", first.pk), data)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.connecting_rooms, second.connecting_rooms, first.building) == ([second.pk], [first.pk], "Garden wing")
    shown = manager_browser.get(page(Room, "change", second.pk)).content.decode()
    assert 'name="connecting_rooms" value="101"' in shown
    for wrong in ("201", "101, 102"):
        answer = manager_browser.post(page(Room, "change", second.pk), {**form, "connecting_rooms": wrong})
        assert "The hotel has no room with one of these numbers." in answer.content.decode()
    new = {**data, "room_number": "PH1", "connecting_rooms": "12A", "credits": "2.5"}
    assert manager_browser.post(page(Room, "add"), new).status_code == 302
    made = Room.objects.get(room_number="ph1")
    assert (made.connecting_rooms, made.credits, made.hotel) == ([second.pk], Decimal("2.50"), manager.hotel)


def test_a_duplicate_room_number_is_a_form_error(manager_browser, manager):
    room, other = room_in("READY_FOR_GUEST", hotel=manager.hotel), room_in("READY_FOR_GUEST", hotel=manager.hotel)
    data = {"room_number": other.room_number, "room_type": room.room_type_id, "is_active": "on"}
    answer = manager_browser.post(page(Room, "change", room.pk), data, follow=True)
    assert f"Room {other.room_number} already exists." in answer.content.decode()


def test_a_duplicate_room_type_code_is_a_form_error(manager_browser, manager):
    RoomTypeFactory(hotel=manager.hotel, code="A")
    answer = manager_browser.post(
        page(RoomType, "add"),
        {"code": "A", "name": "Another", "currency": "EUR", "max_occupancy": 2, "credits": 1},
        follow=True,
    )
    assert "Not saved" in answer.content.decode()
    assert RoomType.objects.count() == 1


def test_a_price_with_too_many_decimals_for_its_currency_is_a_form_error(manager_browser, manager):
    kind = {"code": "A", "name": "Another", "max_occupancy": 2, "credits": 1, "starting_price_from": "9000.5"}
    made = manager_browser.post(page(RoomType, "add"), kind | {"currency": "JPY"})
    assert made.context["adminform"].form.errors == {"starting_price_from": ["Amounts in JPY have no decimals."]}
    unknown = manager_browser.post(page(RoomType, "add"), kind | {"currency": "QQQ"})
    assert list(unknown.context["adminform"].form.errors) == ["currency"]
    assert not RoomType.objects.exists()
    room_type = RoomTypeFactory(hotel=manager.hotel, starting_price_from="40.500", currency="BHD")
    assert "40.500 BHD" in manager_browser.get(page(RoomType, "changelist")).content.decode()
    form = manager_browser.get(page(RoomType, "change", room_type.pk)).context["adminform"].form
    assert str(form["starting_price_from"].value()) == "40.500"
    changed = manager_browser.post(page(RoomType, "change", room_type.pk), kind | {"currency": "JPY"})
    assert list(changed.context["adminform"].form.errors) == ["starting_price_from"]


def test_a_read_only_room_type_shows_its_price_with_currency(hotel):
    room_type = RoomTypeFactory(hotel=hotel, starting_price_from="40.5", currency="BHD")
    member = StaffFactory(hotel=hotel, user__is_staff=True)
    member.role.permissions.clear()
    member.user.user_permissions.set(Permission.objects.filter(codename="view_roomtype"))
    client = Client()
    client.force_login(member.user)
    text = client.get(page(RoomType, "change", room_type.pk)).content.decode()
    assert "40.500 BHD" in text
    assert "40.5000" not in text


def test_a_first_hotel_can_be_created_in_the_admin(superuser_browser):
    """As in the README: hotel, room type, room, user and staff member; then that person signs in."""

    def add(model, **fields):
        answer = superuser_browser.post(page(model, "add"), fields)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        return model.objects.latest("pk")

    times = {"standard_checkout_time": "11:00", "approval_cutoff_time": "23:00", "check_in_time": "15:00"}
    times |= {"early_checkin_from": "08:00", "late_arrival_cutoff": "02:00", "late_checkout_grace_minutes": 30}
    hotel = add(Hotel, name="Inn", slug="inn", timezone="Europe/Rome", approval_cutoff_day_offset=0, **times)
    kind = add(
        RoomType, hotel=hotel.pk, name="Single", code="S", currency="EUR", max_occupancy=1, credits=1, is_active="on"
    )
    room = add(Room, hotel=hotel.pk, room_number=1, room_type=kind.pk, is_active="on")
    user = add(
        get_user_model(),
        username="keeper",
        password1="open sesame 1",
        password2="open sesame 1",
        usable_password="true",
    )
    role = Group.objects.get(name=rights.HOTEL_MANAGER)
    add(Staff, user=user.pk, hotel=hotel.pk, department="management", role=role.pk, is_active="on")

    login = Client().post(
        "/api/staff/login/", {"username": "keeper", "password": "open sesame 1"}, content_type="application/json"
    )
    assert (login.status_code, login.json()["hotel_slug"], room.room_status) == (200, "inn", "READY_FOR_GUEST")


# --- the action -------------------------------------------------------------------------------------------------------


def choose(client: Client, *rooms: Room, **fields):
    return client.post(
        page(Room, "changelist"),
        {"action": "change_status", "_selected_action": [room.pk for room in rooms], **fields},
        follow=True,
    )


def test_the_action_asks_for_status_and_reason_first(manager_browser, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel, room_number=4711)
    asked = choose(manager_browser, room)
    assert "4711 (Checkout dirty)" in asked.content.decode()
    assert RoomStatusEvent.objects.count() == 1
    again = choose(manager_browser, room, apply="1", to_status="OUT_OF_ORDER", reason=" ")
    assert "This field is required." in again.content.decode()
    assert RoomStatusEvent.objects.count() == 1


def test_the_action_goes_through_the_service(manager_browser, manager):
    dirty = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    occupied = room_in("OCCUPIED", hotel=manager.hotel)
    same = room_in("OUT_OF_ORDER", hotel=manager.hotel)
    answer = choose(manager_browser, dirty, occupied, same, apply="1", to_status="OUT_OF_ORDER", reason="burst pipe")
    audit = RoomStatusEvent.objects.get(room=dirty, to_status="OUT_OF_ORDER")
    assert (audit.changed_by, audit.source, audit.note) == (manager, "MANAGER_OVERRIDE", "burst pipe")
    text = unescape(answer.content.decode())
    assert "Changed 1 of 3 rooms." in text
    assert f"Room occupied: room {occupied.room_number} has a guest in house." in text
    assert f"Room {same.room_number} already has this status." in text


def test_the_action_does_not_reach_another_hotel(manager_browser, manager):
    other = room_in("CHECKOUT_DIRTY", hotel=HotelFactory())
    choose(manager_browser, other, apply="1", to_status="OUT_OF_ORDER", reason="mine now")
    other.refresh_from_db()
    assert other.room_status == "CHECKOUT_DIRTY"


def test_the_action_requires_the_override_right(hotel, superuser_browser):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    member = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__is_staff=True)
    member.role.permissions.remove(*member.role.permissions.filter(codename="status_override"))
    client = Client()
    client.force_login(member.user)
    # The superuser is no member of staff, so the audit log could not name them.
    for browser in (client, superuser_browser):
        choose(browser, room, apply="1", to_status="OUT_OF_ORDER", reason="because")
    assert Room.objects.get(pk=room.pk).room_status == "CHECKOUT_DIRTY"


def test_the_action_on_all_rooms_that_match(manager_browser, manager):
    """A page lists at most a hundred rooms; "select all" selects every match, also after the form."""
    rooms = [room_in("CHECKOUT_DIRTY", hotel=manager.hotel) for _ in range(3)]
    asked = choose(manager_browser, rooms[0], select_across="1")
    chosen = list(asked.context["selected"])
    assert sorted(chosen) == sorted(room.pk for room in rooms)
    fields = {"action": "change_status", "_selected_action": chosen, "apply": "1", "to_status": "OUT_OF_ORDER"}
    manager_browser.post(page(Room, "changelist"), {**fields, "reason": "burst pipe"})
    assert Room.objects.filter(room_status="OUT_OF_ORDER").count() == 3


# --- staff and roles --------------------------------------------------------------------------------------------------


def test_staff_cannot_change_their_own_role(manager_browser, manager):
    form = manager_browser.get(page(Staff, "change", manager.pk)).context["adminform"].form
    assert "role" not in form.fields


def test_a_manager_can_assign_only_the_five_roles(manager_browser, manager, housekeeper):
    Group.objects.create(name="IT administrators")
    form = manager_browser.get(page(Staff, "change", housekeeper.pk)).context["adminform"].form
    assert set(form.fields["role"].queryset.values_list("name", flat=True)) == set(rights.ROLE_RIGHTS)
    assert "user" not in form.fields


@pytest.mark.parametrize("model", [get_user_model(), Group, AuthToken], ids=lambda model: model.__name__)
def test_models_without_a_hotel_are_for_superusers_only(model, manager_browser, superuser_browser, manager):
    manager.user.user_permissions.set(Permission.objects.all())
    assert manager_browser.get(page(model, "changelist")).status_code == 403
    assert manager_browser.get(page(model, "add")).status_code == 403
    assert superuser_browser.get(page(model, "changelist")).status_code == 200


def test_the_admin_sign_in_is_throttled(manager):
    client = Client()
    tries = [client.post("/admin/login/", {"username": " manager", "password": "wrong"}) for _ in range(11)]
    assert "Too many attempts" not in tries[9].content.decode()
    assert "Too many attempts" in tries[10].content.decode()
    right = client.post("/admin/login/", {"username": "manager", "password": PASSWORD})
    assert "Too many attempts" in right.content.decode()


@pytest.mark.parametrize(
    ("method", "address", "data"),
    [
        ("get", "rooms/room/?room_status__exact=%00", {}),
        ("get", "housekeeping/roomstatusevent/?source__exact=%00", {}),
        ("post", "rooms/room/", {"action": "change_status", "_selected_action": "abc"}),
    ],
)
def test_invalid_queries_and_selections_redirect(method, address, data, manager):
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    assert getattr(client, method)(f"/admin/{address}", data).status_code == 302


@pytest.mark.django_db(transaction=True)  # the constraint is checked at commit
def test_another_hotels_room_type_is_refused_with_the_reason(superuser_browser, hotel):
    foreign = RoomTypeFactory()
    data = {"hotel": hotel.pk, "room_number": 7, "room_type": foreign.pk, "is_active": "on"}
    answer = superuser_browser.post(page(Room, "add"), data)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors == {"room_type": ["This belongs to another hotel."]}
    assert not Room.objects.exists()
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = superuser_browser.post(page(Room, "change", room.pk), {**data, "room_number": room.room_number})
    assert answer.context["adminform"].form.errors == {"room_type": ["This belongs to another hotel."]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "message"), [("23505", "another row already has this name"), ("23503", "something has changed")]
)
def test_a_constraint_violation_at_commit_becomes_a_message(superuser_browser, state, message):
    """Also for rows without a hotel: a name that was just taken, or a row that was just deleted."""
    with unknown_constraint("auth_group", state):
        answer = superuser_browser.post(page(Group, "add"), {"name": "Planted"}, follow=True)
    assert f"Not saved: {message}" in answer.content.decode()
    assert not Group.objects.filter(name="Planted").exists()


@pytest.mark.django_db(transaction=True)
def test_a_check_that_a_form_lacks_is_a_500(superuser_browser):
    superuser_browser.raise_request_exception = False
    with unknown_constraint("auth_group", "23514"):
        assert superuser_browser.post(page(Group, "add"), {"name": "Planted"}).status_code == 500


# --- the audit log ----------------------------------------------------------------------------------------------------


def test_audit_rows_are_read_only(manager_browser, superuser_browser, manager):
    event = one_of_each(manager.hotel)[RoomStatusEvent]
    found = manager_browser.get(
        page(RoomStatusEvent, "changelist"), {"q": "noted at grand", "source__exact": "HOUSEKEEPING"}
    )
    assert [row.pk for row in found.context["cl"].queryset] == [event.pk]
    for client in (manager_browser, superuser_browser):
        assert client.get(page(RoomStatusEvent, "add")).status_code == 403
        assert client.post(page(RoomStatusEvent, "change", event.pk), {"note": "changed"}).status_code == 403
        assert client.post(page(RoomStatusEvent, "delete", event.pk), {"post": "yes"}).status_code == 403


def test_a_room_with_history_cannot_be_deleted(manager_browser, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    manager_browser.post(page(Room, "delete", room.pk), {"post": "yes"})
    assert Room.objects.filter(pk=room.pk).exists()


def test_an_unused_room_can_be_deleted(manager_browser, manager):
    room = NewRoomFactory(hotel=manager.hotel)
    manager_browser.post(page(Room, "delete", room.pk), {"post": "yes"})
    assert not Room.objects.filter(pk=room.pk).exists()


@pytest.mark.parametrize("model", [Room, RoomType])
def test_deleting_a_row_that_came_into_use_is_refused_with_a_message(manager_browser, manager, monkeypatch, model):
    """The first referencing row appears after Django has collected the related objects."""
    monkeypatch.setattr(ModelAdmin, "get_deleted_objects", lambda *_: ([], {}, set(), []))
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    row = room if model is Room else room.room_type
    answer = manager_browser.post(page(model, "delete", row.pk), {"post": "yes"}, follow=True)
    assert "Deactivate it instead" in answer.content.decode()
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", [Room, RoomType])
def test_rooms_and_types_are_not_deleted_in_bulk(manager_browser, superuser_browser, manager, model):
    room = NewRoomFactory(hotel=manager.hotel)
    row = room if model is Room else RoomTypeFactory(hotel=manager.hotel)
    for client in (manager_browser, superuser_browser):
        assert "delete_selected" not in client.get(page(model, "changelist")).content.decode()
        client.post(page(model, "changelist"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
        assert model.objects.filter(pk=row.pk).exists()


def test_lists_take_a_constant_number_of_statements(manager_browser, manager, statements):
    def count() -> int:
        with statements() as made:
            assert manager_browser.get(page(Room, "changelist")).status_code == 200
        return len(made)

    room_type = RoomTypeFactory(hotel=manager.hotel)
    room_in("READY_FOR_GUEST", hotel=manager.hotel, room_type=room_type)
    one = count()
    for _ in range(2):
        room_in("READY_FOR_GUEST", hotel=manager.hotel, room_type=room_type)
    assert count() == one
