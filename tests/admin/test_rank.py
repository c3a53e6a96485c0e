"""Staff cannot change the profile, user or rights of someone with rights that they lack, nor grant such rights: through
any admin URL or API endpoint."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from hotel import rights
from hotel.models import Staff
from hotel.services import Outranked, OwnAccount, RoleRefused, update_staff
from tests.admin.every_model import CALLERS, admin_url, admin_url_patterns, registered_models, signed_in_browser
from tests.conftest import token_client
from tests.endpoints import ENDPOINTS, endpoint_targets
from tests.factories import PASSWORD, StaffFactory
from tests.snapshots import table_rows

User = get_user_model()
pytestmark = pytest.mark.django_db
PEOPLE = (User, Staff, Group, AuthToken, User.groups.through, User.user_permissions.through, Group.permissions.through)


@pytest.fixture
def boss(hotel) -> Staff:
    """A superuser on the hotel's staff, with a token."""
    boss = StaffFactory(hotel=hotel, role=rights.HOUSEKEEPER, user__is_staff=True, user__is_superuser=True)
    AuthToken.objects.create(user=boss.user)
    return boss


def profile(staff: Staff, **changes: Any) -> dict[str, Any]:
    """The form data of the staff member's page, with changes."""
    fields = {
        "department": staff.department,
        "role": staff.role_id,
        "phone_number": staff.phone_number,
        "is_active": "on" if staff.is_active else "",
        "is_on_duty": "on" if staff.is_on_duty else "",
    }
    sent = {**fields, **changes}
    hidden = {f"initial-{name}": value for name, value in fields.items()}
    return {name: value for name, value in (hidden | sent).items() if value != ""}


def change(client: Client, staff: Staff, **changes: Any) -> Any:
    return client.post(admin_url(Staff, "change", staff.pk), profile(staff, **changes), follow=True)


CHANGES = [
    {"is_active": ""},
    {"role": "manager"},
    {"department": "maintenance"},
    {"phone_number": "+353 1 555 9999"},
    {"is_on_duty": "on"},
]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_a_manager_cannot_change_a_superusers_profile(hotel, boss, caller, changes):
    client = signed_in_browser(CALLERS[caller](hotel).user)
    if "role" in changes:
        changes = {"role": Group.objects.get(name=rights.FRONT_DESK_AGENT).pk}
    before = table_rows(PEOPLE)
    answer = change(client, boss, **changes)
    assert answer.status_code == 200
    assert (
        f"{boss.name} holds rights that you do not: only a superuser can change this profile."
        in answer.content.decode()
    )
    assert table_rows(PEOPLE) == before
    assert token_client(boss).get(f"/api/staff/hotel/{hotel.slug}/me/").status_code == 200


def test_a_superusers_page_is_read_only_and_says_why(manager, boss):
    answer = signed_in_browser(manager.user).get(admin_url(Staff, "change", boss.pk))
    assert answer.status_code == 200
    assert "holds rights that you do not" in answer.content.decode()
    assert answer.context["adminform"].form.fields == {}
    assert signed_in_browser(manager.user).get(admin_url(Staff, "history", boss.pk)).status_code == 200


@pytest.mark.parametrize("caller", CALLERS)
def test_no_admin_url_changes_a_superuser(hotel, boss, caller):
    """Through forms, actions, deletion and the password page."""
    client = signed_in_browser(CALLERS[caller](hotel).user)
    client.raise_request_exception = False
    token = AuthToken.objects.get(user=boss.user)
    rows = {User: boss.user, Staff: boss, AuthToken: token, Group: boss.role}
    before = table_rows(PEOPLE)
    posts = [
        {},
        {"post": "yes"},
        profile(boss, is_active=""),
        {
            "username": "nobody",
            "password1": PASSWORD,
            "password2": PASSWORD,
            "usable_password": "true",
            "email": "a@b.ie",
        },
        {"action": "delete_selected", "_selected_action": [row.pk for row in rows.values()], "post": "yes"},
        {"_saveasnew": "1", **profile(boss)},
        {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": boss.pk, "_save": "Save"},
    ]
    tried = 0
    for model in registered_models():
        for pattern, names_a_row in admin_url_patterns(model):
            if model not in rows or not pattern.name:
                continue
            address = reverse(f"admin:{pattern.name}", args=[rows[model].pk] if names_a_row else [])
            for post in posts:
                tried += 1
                assert client.post(address, post).status_code < 500, (address, post)
    assert tried > 100
    assert table_rows(PEOPLE) == before


def test_no_api_endpoint_changes_rights(hotel, manager, boss):
    things = endpoint_targets(hotel, manager)
    client = token_client(manager)
    before = table_rows(PEOPLE)
    for endpoint in ENDPOINTS:
        endpoint.call(client, hotel.slug, things)
    assert table_rows(PEOPLE) == before


# --- staff with other rights ------------------------------------------------------------------------------------------


@pytest.fixture
def deputy(hotel) -> Staff:
    """A housekeeping supervisor with permission to manage staff."""
    deputy = StaffFactory(hotel=hotel, role=rights.HOUSEKEEPING_SUPERVISOR, user__is_staff=True)
    deputy.user.user_permissions.set(Permission.objects.filter(codename__in=["view_staff", "change_staff"]))
    return deputy


def test_staff_with_fewer_rights_can_be_changed(deputy, housekeeper):
    change(signed_in_browser(deputy.user), housekeeper, is_active="", phone_number="+353 1 555 9999")
    housekeeper.refresh_from_db()
    assert (housekeeper.is_active, housekeeper.phone_number) == (False, "+353 1 555 9999")


@pytest.mark.parametrize("who", ["manager", "agent"])
def test_staff_with_any_other_right_cannot_be_changed(deputy, request, who):
    other = request.getfixturevalue(who)  # the agent's rights are not a subset of the supervisor's
    client = signed_in_browser(deputy.user)
    before = table_rows(PEOPLE)
    assert "holds rights that you do not" in change(client, other, is_active="").content.decode()
    assert table_rows(PEOPLE) == before


@pytest.mark.parametrize("given", ["user_permissions", "groups"])
def test_rights_granted_outside_the_role_count(manager, housekeeper, given):
    admins = Group.objects.create(name="IT administrators")
    admins.permissions.set(Permission.objects.filter(codename="add_user"))
    if given == "groups":
        housekeeper.user.groups.add(admins)
    else:
        housekeeper.user.user_permissions.set(admins.permissions.all())
    assert (
        "holds rights that you do not"
        in change(signed_in_browser(manager.user), housekeeper, is_active="").content.decode()
    )
    assert Staff.objects.get(pk=housekeeper.pk).is_active


def test_managers_can_change_each_other(hotel, manager):
    other = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER)
    change(signed_in_browser(manager.user), other, is_active="")
    assert not Staff.objects.get(pk=other.pk).is_active


def test_a_role_with_more_rights_than_ones_own_cannot_be_assigned(deputy, housekeeper):
    client = signed_in_browser(deputy.user)
    form = client.get(admin_url(Staff, "change", housekeeper.pk)).context["adminform"].form
    within_reach = set(form.fields["role"].queryset.values_list("name", flat=True))
    assert within_reach == {rights.HOUSEKEEPER, rights.HOUSEKEEPING_SUPERVISOR}
    for role in (rights.HOTEL_MANAGER, rights.FRONT_DESK_AGENT):
        answer = change(client, housekeeper, role=Group.objects.get(name=role).pk)
        assert "Select a valid choice" in answer.content.decode()
    assert Staff.objects.get(pk=housekeeper.pk).role.name == rights.HOUSEKEEPER
    change(client, housekeeper, role=Group.objects.get(name=rights.HOUSEKEEPING_SUPERVISOR).pk)
    assert Staff.objects.get(pk=housekeeper.pk).role.name == rights.HOUSEKEEPING_SUPERVISOR


def test_a_superuser_can_change_everyone(manager, boss):
    root = signed_in_browser(User.objects.create_superuser("root"))
    change(root, boss, is_active="")
    change(root, manager, role=boss.role_id)
    assert not Staff.objects.get(pk=boss.pk).is_active
    assert Staff.objects.get(pk=manager.pk).role == boss.role
    assert not AuthToken.objects.filter(user=boss.user).exists()


# --- the service ------------------------------------------------------------------------------------------------------


def test_the_service_decides_on_the_stored_row(manager, housekeeper):
    stale = Staff.objects.select_related("user").get(pk=housekeeper.pk)
    User.objects.filter(pk=housekeeper.user_id).update(is_superuser=True)
    with pytest.raises(Outranked):
        update_staff(staff=stale, by=manager.user, is_active=False)
    assert Staff.objects.get(pk=housekeeper.pk).is_active


def test_the_service_refuses_roles_that_the_form_does_not_offer(manager, deputy, housekeeper):
    own_making = Group.objects.create(name="IT administrators")
    top, least = (Group.objects.get(name=name) for name in (rights.HOTEL_MANAGER, rights.HOUSEKEEPER))
    for by, staff, role, why in (
        (deputy, housekeeper, top, "You can't give the role"),
        (manager, housekeeper, own_making, "You can't give the role"),
        (manager, manager, least, "You can't change your own role"),
    ):
        with pytest.raises(RoleRefused, match=why):
            update_staff(staff=staff, by=by.user, role=role)
    Staff.objects.filter(pk=housekeeper.pk).update(role=own_making)
    with pytest.raises(RoleRefused, match="You can't give the role"):
        update_staff(staff=housekeeper, by=manager.user, role=least)
    with pytest.raises(OwnAccount):
        update_staff(staff=manager, by=manager.user, is_active=False)


def test_only_changed_fields_are_written(manager, housekeeper, statements):
    with statements() as made:
        update_staff(staff=housekeeper, by=manager.user, department=housekeeper.department, is_on_duty=True)
    [written] = [sql for sql in made.sql() if sql.startswith("UPDATE")]
    assert "is_on_duty" in written and "department" not in written
