"""Writes sign-ins, staff profiles and the hotel's settings."""

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any

from django.contrib.auth import SESSION_KEY, authenticate, get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from knox.models import AuthToken

from common import clock
from common.errors import FieldError, HotelMateError, NotAllowed
from common.guards import Guard, require
from hotel.models import ENDS_AFTER_ARRIVALS, ENDS_AFTER_NOON, NOON, Hotel, Staff, UserSession
from hotel.rights import ROLE_RIGHTS
from hotel.selectors import outranks, roles_to_give
from room_bookings.inventory import record_allowed_overbookings
from rooms.selectors import room_with_feature


class WrongCredentials(HotelMateError):
    status = 401
    code = "INVALID_CREDENTIALS"

    def __init__(self) -> None:
        message = "Wrong user name or password."
        super().__init__(message, extra={"non_field_errors": [message]})


class SignInRefused(NotAllowed):
    """The credentials are right, but this person may not sign in."""

    code = "SIGN_IN_REFUSED"

    def __init__(self, message: str) -> None:
        super().__init__(message, extra={"non_field_errors": [message]})


def sign_in(*, username: str, password: str) -> tuple[Staff, str]:
    """Return the member of staff and a new token, valid for 14 days; delete their expired tokens."""
    user = authenticate(username=username, password=password)
    if user is None:
        raise WrongCredentials
    staff = staff_to_sign_in(user)
    with transaction.atomic():
        AuthToken.objects.filter(user=user, expiry__lte=clock.now()).delete()
        _, token = AuthToken.objects.create(user=user)
    return staff, token


def staff_to_sign_in(user: Any) -> Staff:
    """The staff profile of a user whose password was right. Raises ``SignInRefused`` unless both are active."""
    staff = Staff.objects.select_related("user", "hotel", "role").filter(user=user).first()
    if staff is None:
        raise SignInRefused("This user is not on the staff of a hotel.")
    if not (user.is_active and staff.is_active):
        raise SignInRefused("This account is deactivated. Ask your manager.")
    return staff


def sign_out(token: AuthToken) -> None:
    """Delete the token; it stops working immediately."""
    token.delete()


@transaction.atomic
def sign_out_everywhere(user: Any) -> None:
    """Delete every token and session of the user, so that a lost phone stays out when its owner is reactivated."""
    AuthToken.objects.filter(user=user).delete()
    UserSession.objects.filter(user_id=user.pk).delete()
    # The previous release makes sessions without their user: two weeks after the upgrade there are none left.
    for session in UserSession.objects.filter(user_id=None, expire_date__gt=clock.now()).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()


class Outranked(NotAllowed):
    """Nobody may change the profile of a member with more rights than they have."""

    code = "OUTRANKED"

    def __init__(self, staff: Staff) -> None:
        super().__init__(f"{staff.name} holds rights that you do not: only a superuser can change this profile.")


class RoleRefused(NotAllowed):
    """Nobody may give a right that they do not hold, or give rights to themselves."""

    code = "ROLE_REFUSED"


class OwnAccount(NotAllowed):
    """Nobody may lock themselves out."""

    code = "OWN_ACCOUNT"


@transaction.atomic
def update_staff(*, staff: Staff, by: Any, **fields: Any) -> Staff:
    """Change a member's profile, as ``by`` (a user); returns the updated profile.

    A member who is deactivated is signed out everywhere. Raises Outranked, RoleRefused, OwnAccount.
    """
    # Lock the user as well: a concurrent request may be making them a superuser.
    user = get_user_model().objects.select_for_update(no_key=True).get(pk=staff.user_id)
    locked = Staff.objects.select_for_update(no_key=True).order_by("pk").get(pk=staff.pk)
    locked.user = user
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    require(staff_refusals(locked, changed, by))
    for name, value in changed.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(changed))
    if not locked.is_active:
        sign_out_everywhere(user)
    return locked


def staff_refusals(staff: Staff, changed: Mapping[str, Any], by: Any) -> Guard[None]:
    """The refusals of ``update_staff`` for the fields that would change, with their new values."""
    if outranks(staff.user, by):
        yield Outranked(staff)
    if staff.user_id == by.pk and "is_active" in changed:
        yield OwnAccount("You can't deactivate yourself: ask somebody else.")
    if "role" in changed and not by.is_superuser:
        yield from _role_refusals(staff, changed["role"], by)


def _role_refusals(staff: Staff, role: Group, by: Any) -> Guard[None]:
    if staff.user_id == by.pk:
        yield RoleRefused("You can't change your own role: ask a superuser.")
    # Only superusers give or take roles that a hotel has made itself.
    if staff.role.name not in ROLE_RIGHTS or not roles_to_give(by).filter(pk=role.pk).exists():
        yield RoleRefused(f"You can't give the role {role.name}: ask a superuser.")


@transaction.atomic
def update_access_config(*, hotel: Hotel, **fields: Any) -> Hotel:
    """Change the settings that drive the hotel's deadlines, in the admin also its name and phone; returns the hotel.

    Bookings keep the approval deadline that they already have (``approval_deadline_at``). When a hotel stops allowing
    overbooking, the existing overbookings are recorded. Raises FieldError, for the field that was changed, if the
    business day would end after noon or after the next day's first arrivals.
    """
    locked = Hotel.objects.select_for_update(no_key=True).get(pk=hotel.pk)
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    require(settings_refusals(locked, changed))
    for name, value in changed.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(changed))
    if "allow_overbooking" in changed and not locked.allow_overbooking:
        record_allowed_overbookings(locked)
    return locked


def settings_refusals(hotel: Hotel, changed: Mapping[str, Any]) -> Guard[None]:
    """The refusals of ``update_access_config`` for the settings that would change, with their new values."""
    field = "late_arrival_cutoff" if "late_arrival_cutoff" in changed else "early_checkin_from"
    cutoff: time = changed.get("late_arrival_cutoff", hotel.late_arrival_cutoff)
    if cutoff > NOON:
        yield FieldError(field, ENDS_AFTER_NOON)
    if cutoff > changed.get("early_checkin_from", hotel.early_checkin_from):
        yield FieldError(field, ENDS_AFTER_ARRIVALS)
    yield from feature_list_refusals(hotel, changed.get("room_features", hotel.room_features))


def feature_list_refusals(hotel: Hotel, features: Sequence[str]) -> Guard[None]:
    """Refused if a room has a feature that the list would lose, and for names that a list cannot have."""
    if any("," in feature for feature in features) or len({each.casefold() for each in features}) < len(features):
        yield FieldError("room_features", "Each feature is listed once, and has no comma.")
    if (removed := set(hotel.room_features).difference(features)) and (room := room_with_feature(hotel, removed)):
        [feature, *_] = sorted(removed.intersection(room.features))
        yield FieldError("room_features", f"Room {room.room_number} has {feature}: take it away there first.")
