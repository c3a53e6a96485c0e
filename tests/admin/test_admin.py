"""The Django admin as a hotel's manager uses it: their own hotel only, and no way around the services."""

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
from rooms.models import Room, RoomType
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

SCOPED = [Hotel, Staff, RoomType, Room, RoomStatusEvent, HousekeepingTask]


@pytest.fixture
def desk(manager) -> Client:
    """A browser in which the manager of the Grand is signed in."""
    client = Client()
    client.force_login(manager.user)
    return client


@pytest.fixture
def root(db) -> Client:
    """A browser in which the superuser is signed in, who belongs to no hotel."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def page(model, name: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def one_of_each(hotel: Hotel) -> dict[type, object]:
    """An object of every model that the admin scopes, all of one hotel."""
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    member = StaffFactory(hotel=hotel)
    set_room_status(room=room, to_status="MAINTENANCE_REQUIRED", staff=member, note=f"noted at {hotel.slug}")
    return {
        Hotel: hotel,
        Staff: member,
        RoomType: room.room_type,
        Room: room,
        RoomStatusEvent: room.status_event,
        HousekeepingTask: TaskFactory(room=room),
    }


def test_every_model_of_ours_in_the_admin_is_scoped_here():
    ours = {
        model for model in admin.site._registry if model.__module__.split(".")[0] in ("hotel", "rooms", "housekeeping")
    }
    assert ours == set(SCOPED)


@pytest.mark.parametrize("model", SCOPED, ids=lambda model: model.__name__)
def test_a_manager_sees_the_own_hotel_only(model, desk, manager):
    own, other = one_of_each(manager.hotel)[model], one_of_each(HotelFactory(slug="other"))[model]
    listed = desk.get(page(model, "changelist"))
    assert listed.status_code == 200
    results = [row.pk for row in listed.context["cl"].queryset]
    assert own.pk in results
    assert other.pk not in results
    assert desk.get(page(model, "change", own.pk)).status_code == 200
    for name in ("change", "delete", "history"):
        assert desk.get(page(model, name, other.pk)).status_code in (302, 403), name


def test_a_superuser_sees_every_hotel(root, hotel):
    own, other = one_of_each(hotel)[Room], one_of_each(HotelFactory())[Room]
    rows = root.get(page(Room, "changelist")).context["cl"].queryset
    assert set(rows) == {own, other}


def test_a_housekeeper_has_no_business_in_the_admin(housekeeper):
    client = Client()
    client.force_login(housekeeper.user)
    assert client.get("/admin/").status_code == 302


def test_a_deactivated_manager_is_out_at_once(desk, manager):
    assert desk.get("/admin/").status_code == 200
    manager.is_active = False
    manager.save()
    assert desk.get("/admin/").status_code == 302


def test_choices_of_a_form_are_of_the_own_hotel(desk, manager):
    own, other = RoomTypeFactory(hotel=manager.hotel), RoomTypeFactory()
    form = desk.get(page(Room, "add")).context["adminform"].form
    assert set(form.fields["room_type"].queryset) == {own}
    assert other not in form.fields["room_type"].queryset
    assert "hotel" not in form.fields
    assert "room_status" not in form.fields


def test_a_new_room_is_of_the_own_hotel(desk, manager):
    room_type = RoomTypeFactory(hotel=manager.hotel)
    desk.post(page(Room, "add"), {"room_number": 7, "room_type": room_type.pk, "is_active": "on"})
    assert Room.objects.get().hotel == manager.hotel


def test_the_form_of_a_room_writes_no_status(desk, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel, room_number=101)
    data = {
        "room_number": 102,
        "room_type": room.room_type_id,
        "is_active": "on",
        "room_status": "READY_FOR_GUEST",
        "status_version": 9,
        "maintenance_required": "on",
    }
    assert desk.post(page(Room, "change", room.pk), data).status_code == 302
    room.refresh_from_db()
    assert (room.room_number, room.room_status, room.status_version, room.maintenance_required) == (
        102,
        "CHECKOUT_DIRTY",
        1,
        False,
    )
    assert RealtimeEvent.objects.latest("pk").envelope["payload"]["changed_fields"] == ["room_number", "updated_at"]


def test_a_form_that_the_service_refuses_says_why(desk, manager):
    room = room_in("OCCUPIED", hotel=manager.hotel)
    data = {"room_number": room.room_number, "room_type": room.room_type_id, "initial-is_active": "True"}
    answer = desk.post(page(Room, "change", room.pk), data, follow=True)
    assert "Room occupied" in answer.content.decode()
    assert Room.objects.get(pk=room.pk).is_active


def test_a_number_that_is_taken_says_so(desk, manager):
    room, other = room_in("READY_FOR_GUEST", hotel=manager.hotel), room_in("READY_FOR_GUEST", hotel=manager.hotel)
    data = {"room_number": other.room_number, "room_type": room.room_type_id, "is_active": "on"}
    answer = desk.post(page(Room, "change", room.pk), data, follow=True)
    assert f"Room {other.room_number} already exists." in answer.content.decode()


def test_a_code_that_is_taken_says_so(desk, manager):
    RoomTypeFactory(hotel=manager.hotel, code="A")
    answer = desk.post(
        page(RoomType, "add"), {"code": "A", "name": "Another", "currency": "EUR", "max_occupancy": 2}, follow=True
    )
    assert "Not saved" in answer.content.decode()
    assert RoomType.objects.count() == 1


def test_a_price_that_its_currency_does_not_have_is_an_error_of_the_form(desk, manager):
    kind = {"code": "A", "name": "Another", "max_occupancy": 2, "starting_price_from": "9000.5"}
    made = desk.post(page(RoomType, "add"), kind | {"currency": "JPY"})
    assert made.context["adminform"].form.errors == {"starting_price_from": ["Amounts in JPY have no decimals."]}
    unknown = desk.post(page(RoomType, "add"), kind | {"currency": "QQQ"})
    assert list(unknown.context["adminform"].form.errors) == ["currency"]
    assert not RoomType.objects.exists()
    room_type = RoomTypeFactory(hotel=manager.hotel, starting_price_from="40.500", currency="BHD")
    assert "40.500 BHD" in desk.get(page(RoomType, "changelist")).content.decode()
    form = desk.get(page(RoomType, "change", room_type.pk)).context["adminform"].form
    assert str(form["starting_price_from"].value()) == "40.500"
    changed = desk.post(page(RoomType, "change", room_type.pk), kind | {"currency": "JPY"})
    assert list(changed.context["adminform"].form.errors) == ["starting_price_from"]


def test_who_only_reads_a_type_sees_its_price_with_its_currency(hotel):
    room_type = RoomTypeFactory(hotel=hotel, starting_price_from="40.5", currency="BHD")
    member = StaffFactory(hotel=hotel, user__is_staff=True)
    member.role.permissions.clear()
    member.user.user_permissions.set(Permission.objects.filter(codename="view_roomtype"))
    client = Client()
    client.force_login(member.user)
    text = client.get(page(RoomType, "change", room_type.pk)).content.decode()
    assert "40.500 BHD" in text
    assert "40.5000" not in text


def test_a_first_house_is_made_in_the_admin(root):
    """As the README says: hotel, room type, room, user and staff member; then that person signs in."""

    def add(model, **fields):
        answer = root.post(page(model, "add"), fields)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        return model.objects.latest("pk")

    times = {"standard_checkout_time": "11:00", "approval_cutoff_time": "23:00", "check_in_time": "15:00"}
    times |= {"early_checkin_from": "08:00", "late_arrival_cutoff": "02:00", "late_checkout_grace_minutes": 30}
    hotel = add(Hotel, name="Inn", slug="inn", timezone="Europe/Rome", approval_cutoff_day_offset=0, **times)
    kind = add(RoomType, hotel=hotel.pk, name="Single", code="S", currency="EUR", max_occupancy=1, is_active="on")
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


def test_the_action_asks_for_status_and_reason_first(desk, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel, room_number=4711)
    asked = choose(desk, room)
    assert "4711 (Checkout dirty)" in asked.content.decode()
    assert RoomStatusEvent.objects.count() == 1
    again = choose(desk, room, apply="1", to_status="OUT_OF_ORDER", reason=" ")
    assert "This field is required." in again.content.decode()
    assert RoomStatusEvent.objects.count() == 1


def test_the_action_goes_through_the_service(desk, manager):
    dirty = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    occupied = room_in("OCCUPIED", hotel=manager.hotel)
    same = room_in("OUT_OF_ORDER", hotel=manager.hotel)
    answer = choose(desk, dirty, occupied, same, apply="1", to_status="OUT_OF_ORDER", reason="burst pipe")
    audit = RoomStatusEvent.objects.get(room=dirty, to_status="OUT_OF_ORDER")
    assert (audit.changed_by, audit.source, audit.note) == (manager, "MANAGER_OVERRIDE", "burst pipe")
    text = unescape(answer.content.decode())
    assert "Changed 1 of 3 rooms." in text
    assert f"Room occupied: a guest is in house in room {occupied.room_number}." in text
    assert f"Room {same.room_number} already has this status." in text


def test_the_action_does_not_reach_another_hotel(desk, manager):
    other = room_in("CHECKOUT_DIRTY", hotel=HotelFactory())
    choose(desk, other, apply="1", to_status="OUT_OF_ORDER", reason="mine now")
    other.refresh_from_db()
    assert other.room_status == "CHECKOUT_DIRTY"


def test_the_action_takes_the_override_right(hotel, root):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    member = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__is_staff=True)
    member.role.permissions.remove(*member.role.permissions.filter(codename="status_override"))
    client = Client()
    client.force_login(member.user)
    for browser in (client, root):  # and the audit trail names a member of staff, which the superuser is not
        choose(browser, room, apply="1", to_status="OUT_OF_ORDER", reason="because")
    assert Room.objects.get(pk=room.pk).room_status == "CHECKOUT_DIRTY"


def test_the_action_on_all_rooms_that_match(desk, manager):
    """The page shows a hundred at most; "select all" means every one of them, also after the form in between."""
    rooms = [room_in("CHECKOUT_DIRTY", hotel=manager.hotel) for _ in range(3)]
    asked = choose(desk, rooms[0], select_across="1")
    chosen = list(asked.context["selected"])
    assert sorted(chosen) == sorted(room.pk for room in rooms)
    fields = {"action": "change_status", "_selected_action": chosen, "apply": "1", "to_status": "OUT_OF_ORDER"}
    desk.post(page(Room, "changelist"), {**fields, "reason": "burst pipe"})
    assert Room.objects.filter(room_status="OUT_OF_ORDER").count() == 3


# --- staff and roles --------------------------------------------------------------------------------------------------


def test_nobody_gives_themselves_another_role(desk, manager):
    form = desk.get(page(Staff, "change", manager.pk)).context["adminform"].form
    assert "role" not in form.fields


def test_a_manager_gives_others_one_of_the_five_roles(desk, manager, housekeeper):
    Group.objects.create(name="IT administrators")
    form = desk.get(page(Staff, "change", housekeeper.pk)).context["adminform"].form
    assert set(form.fields["role"].queryset.values_list("name", flat=True)) == set(rights.ROLE_RIGHTS)
    assert "user" not in form.fields


@pytest.mark.parametrize("model", [get_user_model(), Group, AuthToken], ids=lambda model: model.__name__)
def test_what_is_of_no_hotel_is_for_superusers(model, desk, root, manager):
    manager.user.user_permissions.set(Permission.objects.all())
    assert desk.get(page(model, "changelist")).status_code == 403
    assert desk.get(page(model, "add")).status_code == 403
    assert root.get(page(model, "changelist")).status_code == 200


def test_the_admins_sign_in_is_throttled_too(manager):
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
def test_addresses_and_selections_without_sense_are_no_error_page(method, address, data, manager):
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    assert getattr(client, method)(f"/admin/{address}", data).status_code == 302


@pytest.mark.django_db(transaction=True)  # the database's own rule speaks at commit
def test_another_hotels_room_type_is_refused_with_the_reason(root, hotel):
    foreign = RoomTypeFactory()
    data = {"hotel": hotel.pk, "room_number": 7, "room_type": foreign.pk, "is_active": "on"}
    answer = root.post(page(Room, "add"), data)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors == {"room_type": ["This belongs to another hotel."]}
    assert not Room.objects.exists()
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = root.post(page(Room, "change", room.pk), {**data, "room_number": room.room_number})
    assert answer.context["adminform"].form.errors == {"room_type": ["This belongs to another hotel."]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "told"), [("23505", "another row already has this name"), ("23503", "something has changed")]
)
def test_who_was_slower_is_told_so_on_every_page(root, state, told):
    """Also of rows that are of no hotel: a name that somebody has just taken, a row that somebody has just deleted."""
    with unknown_constraint("auth_group", state):
        answer = root.post(page(Group, "add"), {"name": "Planted"}, follow=True)
    assert f"Not saved: {told}" in answer.content.decode()
    assert not Group.objects.filter(name="Planted").exists()


@pytest.mark.django_db(transaction=True)
def test_a_rule_that_a_form_has_forgotten_is_a_bug(root):
    root.raise_request_exception = False
    with unknown_constraint("auth_group", "23514"):
        assert root.post(page(Group, "add"), {"name": "Planted"}).status_code == 500


# --- the audit trail --------------------------------------------------------------------------------------------------


def test_audit_rows_are_found_and_never_edited(desk, root, manager):
    event = one_of_each(manager.hotel)[RoomStatusEvent]
    found = desk.get(page(RoomStatusEvent, "changelist"), {"q": "noted at grand", "source__exact": "HOUSEKEEPING"})
    assert [row.pk for row in found.context["cl"].queryset] == [event.pk]
    for client in (desk, root):
        assert client.get(page(RoomStatusEvent, "add")).status_code == 403
        assert client.post(page(RoomStatusEvent, "change", event.pk), {"note": "changed"}).status_code == 403
        assert client.post(page(RoomStatusEvent, "delete", event.pk), {"post": "yes"}).status_code == 403


def test_a_room_with_history_is_not_deleted(desk, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    desk.post(page(Room, "delete", room.pk), {"post": "yes"})
    assert Room.objects.filter(pk=room.pk).exists()


def test_a_room_that_was_never_used_is_deleted(desk, manager):
    room = NewRoomFactory(hotel=manager.hotel)
    desk.post(page(Room, "delete", room.pk), {"post": "yes"})
    assert not Room.objects.filter(pk=room.pk).exists()


@pytest.mark.parametrize("model", [Room, RoomType])
def test_what_is_used_a_moment_before_it_is_deleted_is_refused_in_a_sentence(desk, manager, monkeypatch, model):
    """Django has asked what hangs on it, and the first of that comes now."""
    monkeypatch.setattr(ModelAdmin, "get_deleted_objects", lambda *_: ([], {}, set(), []))
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    row = room if model is Room else room.room_type
    answer = desk.post(page(model, "delete", row.pk), {"post": "yes"}, follow=True)
    assert "Deactivate it instead" in answer.content.decode()
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", [Room, RoomType])
def test_rooms_and_types_are_not_deleted_in_bulk(desk, root, manager, model):
    room = NewRoomFactory(hotel=manager.hotel)
    row = room if model is Room else RoomTypeFactory(hotel=manager.hotel)
    for client in (desk, root):
        assert "delete_selected" not in client.get(page(model, "changelist")).content.decode()
        client.post(page(model, "changelist"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
        assert model.objects.filter(pk=row.pk).exists()


def test_lists_take_a_constant_number_of_statements(desk, manager, statements):
    def count() -> int:
        with statements() as made:
            assert desk.get(page(Room, "changelist")).status_code == 200
        return len(made)

    room_type = RoomTypeFactory(hotel=manager.hotel)
    room_in("READY_FOR_GUEST", hotel=manager.hotel, room_type=room_type)
    one = count()
    for _ in range(2):
        room_in("READY_FOR_GUEST", hotel=manager.hotel, room_type=room_type)
    assert count() == one
