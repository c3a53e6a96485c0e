"""The editable fields of each admin form; a new field must be listed here. No request can change any other field."""

from datetime import time
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission
from django.db.models import DateTimeField, ForeignKey
from django.test import Client
from knox.models import AuthToken

from hotel.models import ENDS_AFTER_ARRIVALS, ENDS_AFTER_NOON, Hotel, Staff
from hotel.services import sign_in, update_access_config
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from notifications.models import BookingMail
from room_bookings.models import BookingChange, RoomBooking
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.admin.every_model import (
    Group,
    User,
    admin_url,
    all_rows,
    create_rows,
    manager_of,
    model_label,
    registered_models,
    signed_in_browser,
    superuser_browser,
)
from tests.conftest import token_client
from tests.factories import PASSWORD, HotelFactory, StaffFactory

pytestmark = pytest.mark.django_db

RULES = {
    "name",
    "phone",
    "timezone",
    "check_in_time",
    "early_checkin_from",
    "late_arrival_cutoff",
    "standard_checkout_time",
    "late_checkout_grace_minutes",
    "approval_cutoff_time",
    "approval_cutoff_day_offset",
    "allow_overbooking",
    "require_complete_party",
    "room_features",
}
TYPE = {
    "name",
    "code",
    "starting_price_from",
    "currency",
    "max_occupancy",
    "bed_setup",
    "short_description",
    "availability_message",
    "is_active",
    "credits",
}
ROOM = {
    *("room_number", "room_type", "is_active", "floor", "building", "section", "features", "is_accessible"),
    *("connecting_rooms", "walking_order", "credits"),
}
REASON = {"label", "default_kind", "default_return_status", "is_active"}
NEW_REASON = REASON | {"code"}
MEMBER = {"department", "role", "phone_number", "is_active", "is_on_duty"}
ACCOUNT = {
    "username",
    "password",
    "first_name",
    "last_name",
    "email",
    "is_active",
    "is_staff",
    "is_superuser",
    "groups",
    "user_permissions",
    "last_login",
    "date_joined",
}
NEW_ACCOUNT = {"username", "usable_password", "password1", "password2"}
NOTES = {"internal_notes", "version"}

# Model → (fields when adding, fields when editing) for a hotel's manager and for a superuser. None: no such form.
EDITABLE: dict[Any, tuple[tuple[Any, Any], tuple[Any, Any]]] = {
    Hotel: ((None, RULES), (RULES | {"slug"}, RULES)),
    Staff: ((None, MEMBER), (MEMBER | {"user", "hotel"}, MEMBER)),
    RoomType: ((TYPE, TYPE), (TYPE | {"hotel"}, TYPE)),
    Room: ((ROOM, ROOM), (ROOM | {"hotel"}, ROOM)),
    BlockReason: ((NEW_REASON, REASON), (NEW_REASON | {"hotel"}, REASON)),
    RoomBlock: ((None, set()), (None, set())),
    RoomStatusEvent: ((None, set()), (None, set())),
    HousekeepingTask: ((None, set()), (None, set())),
    RoomBooking: ((None, NOTES), (None, set())),
    BookingChange: ((None, set()), (None, set())),
    BookingMail: ((None, set()), (None, set())),
    User: ((None, None), (NEW_ACCOUNT, ACCOUNT)),
    Group: ((None, None), ({"name", "permissions"}, {"name", "permissions"})),
    AuthToken: ((None, None), (None, set())),
}


@pytest.fixture(params=["manager", "superuser"])
def caller(request: pytest.FixtureRequest, db: None) -> Client:
    hotel = HotelFactory(slug="grand")
    client = signed_in_browser(manager_of(hotel).user) if request.param == "manager" else superuser_browser()
    client.rows, client.column = create_rows("Grandeur", hotel), request.param == "superuser"
    return client


def form_of(answer: Any) -> dict[str, Any]:
    """The form data that a browser would send from the unchanged page, including hidden inputs."""
    form = answer.context["adminform"].form
    data: dict[str, Any] = {}
    for bound in form:
        for key, value in (
            (bound.html_name, bound.value()),
            (bound.html_initial_name, bound.value() if bound.field.show_hidden_initial else None),
        ):
            if isinstance(value, bool):
                value = "on" if value and key == bound.html_name else str(value) if key != bound.html_name else None
            if value is not None:
                data[key] = value
    for inline in answer.context["inline_admin_formsets"]:
        management = inline.formset.management_form
        data |= {field.html_name: field.value() for field in management}
    return data


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_each_form_has_exactly_these_fields(model, caller):
    assert model in EDITABLE, "decide what can be edited of the new model"
    new, old = EDITABLE[model][caller.column]
    for wanted, where in (
        (new, admin_url(model, "add")),
        (old, admin_url(model, "change", quote(caller.rows[model].pk))),
    ):
        answer = caller.get(where)
        if wanted is None:
            assert answer.status_code == 403, where
            continue
        assert answer.status_code == 200, where
        may_save = answer.context["has_change_permission"] or answer.context["add"]
        assert (set(answer.context["adminform"].form.fields) if may_save else set()) == wanted, where
        for inline in answer.context["inline_admin_formsets"]:
            assert not (inline.has_add_permission or inline.has_change_permission or inline.has_delete_permission)


@pytest.mark.parametrize(
    "model", [model for model in registered_models() if EDITABLE[model][0] != (None, None)], ids=model_label
)
def test_other_posted_fields_change_nothing(model, caller):
    row, other = caller.rows[model], create_rows("Elsewhere")[model]
    where = admin_url(model, "change", quote(row.pk))
    form = form_of(caller.get(where))
    before = all_rows()
    crafted: dict[str, Any] = {}
    for field in model._meta.fields:
        if field.name in EDITABLE[model][caller.column][1]:
            continue
        value = getattr(other, field.attname)
        crafted |= {field.name: "" if value is None else value, field.attname: "" if value is None else value}
        if isinstance(field, DateTimeField):
            crafted |= {f"{field.name}_0": "2030-01-01", f"{field.name}_1": "12:00:00"}
        if isinstance(field, ForeignKey):
            crafted[f"initial-{field.name}"] = ""
    assert crafted
    answer = caller.post(where, crafted | form | {"_save": "Save"})
    assert answer.status_code in (302, 403)
    assert all_rows() == before


# --- concurrent changes -----------------------------------------------------------------------------------------------


@pytest.fixture
def manager_browser(manager: Staff) -> Client:
    return signed_in_browser(manager.user)


def test_a_hotels_page_writes_only_the_changed_fields(manager_browser, hotel):
    where = admin_url(Hotel, "change", hotel.pk)
    form = form_of(manager_browser.get(where))
    update_access_config(hotel=hotel, late_checkout_grace_minutes=90, allow_overbooking=True)
    answer = manager_browser.post(where, form | {"phone": "+353 1 999"})
    assert answer.status_code == 302
    hotel.refresh_from_db()
    assert (hotel.phone, hotel.late_checkout_grace_minutes, hotel.allow_overbooking) == ("+353 1 999", 90, True)


def test_a_business_day_that_ends_too_late_is_a_form_error(manager_browser, superuser, hotel):
    where = admin_url(Hotel, "change", hotel.pk)
    form = form_of(manager_browser.get(where))
    for changes, sentence in (
        ({"late_arrival_cutoff": "12:01", "early_checkin_from": "13:00"}, ENDS_AFTER_NOON),
        ({"late_arrival_cutoff": "08:01"}, ENDS_AFTER_ARRIVALS),
        ({"early_checkin_from": "01:59"}, ENDS_AFTER_ARRIVALS),
    ):
        answer = manager_browser.post(where, form | changes)
        assert answer.context["adminform"].form.non_field_errors() == [sentence]
    # The page was opened before the other time was changed: the service checks both.
    update_access_config(hotel=hotel, early_checkin_from=time(4))
    answer = manager_browser.post(where, form | {"late_arrival_cutoff": "05:00"}, follow=True)
    assert ENDS_AFTER_ARRIVALS in unescape(answer.content.decode())
    hotel.refresh_from_db()
    assert (hotel.early_checkin_from, hotel.late_arrival_cutoff) == (time(4), time(2))
    # A new hotel, too.
    new = form_of(superuser.get(admin_url(Hotel, "add"))) | {
        "name": "Inn",
        "slug": "inn",
        "late_arrival_cutoff": "23:00",
    }
    answer = superuser.post(admin_url(Hotel, "add"), new)
    assert answer.context["adminform"].form.non_field_errors() == [ENDS_AFTER_NOON, ENDS_AFTER_ARRIVALS]


@pytest.fixture
def superuser(db: None) -> Client:
    return superuser_browser()


def test_a_checkbox_can_be_set_and_cleared(manager_browser, hotel):
    where = admin_url(Hotel, "change", hotel.pk)
    for wanted in (True, False):
        form = form_of(manager_browser.get(where)) | {"allow_overbooking": "on"}
        if not wanted:
            del form["allow_overbooking"]
        assert manager_browser.post(where, form).status_code == 302
        assert Hotel.objects.get(pk=hotel.pk).allow_overbooking is wanted


@pytest.mark.parametrize("model", [RoomType, Staff], ids=model_label)
def test_other_pages_write_only_the_changed_fields(model, manager_browser, hotel):
    row = create_rows("Grandeur", hotel)[model]
    where = admin_url(model, "change", row.pk)
    form = form_of(manager_browser.get(where))
    mine, theirs = ("bed_setup", "name") if model is RoomType else ("phone_number", "department")
    model.objects.filter(pk=row.pk).update(**{theirs: "maintenance"})
    assert manager_browser.post(where, form | {mine: "two queens"}).status_code == 302
    row.refresh_from_db()
    assert (getattr(row, mine), getattr(row, theirs)) == ("two queens", "maintenance")


# --- staff who leave --------------------------------------------------------------------------------------------------


def test_deactivation_ends_sessions_and_tokens_immediately(manager_browser, hotel):
    member = StaffFactory(hotel=hotel, user__username="leaver")
    client, session = token_client(member), signed_in_browser(member.user)
    me = f"/api/staff/hotel/{hotel.slug}/me/"
    assert (client.get(me).status_code, session.get(me).status_code) == (200, 200)
    where = admin_url(Staff, "change", member.pk)
    form = form_of(manager_browser.get(where))
    del form["is_active"]
    assert manager_browser.post(where, form).status_code == 302
    assert (client.get(me).status_code, session.get(me).status_code) == (401, 401)
    with pytest.raises(Exception, match="deactivated"):
        sign_in(username="leaver", password=PASSWORD)
    # After reactivation the old session and token stay invalid: a lost phone gets no access.
    assert manager_browser.post(where, form | {"initial-is_active": "False", "is_active": "on"}).status_code == 302
    assert Staff.objects.get(pk=member.pk).is_active
    assert (client.get(me).status_code, session.get(me).status_code) == (401, 401)
    assert manager_browser.get(where).status_code == 200  # nobody else is signed out


def test_staff_cannot_deactivate_themselves(manager_browser, manager):
    where = admin_url(Staff, "change", manager.pk)
    form = form_of(manager_browser.get(where))
    assert "is_active" not in form
    assert manager_browser.post(where, form | {"initial-is_active": "True", "phone_number": "1"}).status_code == 302
    manager.refresh_from_db()
    assert (manager.is_active, manager.phone_number) == (True, "1")


def test_a_role_that_only_a_superuser_assigns_is_kept(manager_browser, hotel, housekeeper):
    housekeeper.role = Group.objects.create(name="IT administrators")
    housekeeper.save()
    where = admin_url(Staff, "change", housekeeper.pk)
    assert manager_browser.post(where, form_of(manager_browser.get(where)) | {"phone_number": "7"}).status_code == 302
    housekeeper.refresh_from_db()
    assert (housekeeper.role.name, housekeeper.phone_number) == ("IT administrators", "7")


def test_users_without_a_hotel_add_no_rows(db):
    user = User.objects.create_user("nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client = signed_in_browser(user)
    for model in (Room, RoomType, Staff, Hotel):
        assert client.get(admin_url(model, "add")).status_code == 403
        assert client.post(admin_url(model, "add"), {"room_number": 1}).status_code == 403


def test_a_room_type_is_changed_through_its_service(statements, db):
    hotel = HotelFactory()
    client, room_type = signed_in_browser(manager_of(hotel).user), create_rows("Grandeur", hotel)[RoomType]
    where = admin_url(RoomType, "change", room_type.pk)
    data = {**form_of(client.get(where)), "name": "Garden view"}
    with statements() as made:
        assert client.post(where, data).status_code == 302
    at = [sql for sql in made.sql() if "rooms_roomtype" in sql and ("FOR NO KEY" in sql or sql.startswith("UPDATE"))]
    assert len(at) == 2
    assert at[0].endswith("FOR NO KEY UPDATE")
    assert at[1].startswith('UPDATE "rooms_roomtype" SET "name" = ')
    assert at[1].count(" = ") == 2
