"""Reads about staff, their permissions and their roles."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from hotel.models import Hotel, Staff
from hotel.rights import ROLE_RIGHTS

_GroupPermission = Group.permissions.through
_UserPermission = get_user_model().user_permissions.through


def _permissions(user: Any) -> QuerySet[Permission]:
    return Permission.objects.order_by().filter(
        Q(pk__in=_GroupPermission.objects.filter(group__staff_members__user=user).values("permission"))
        | Q(pk__in=_GroupPermission.objects.filter(group__user=user).values("permission"))
        | Q(pk__in=_UserPermission.objects.filter(user=user).values("permission"))
    )


def permissions_of(user: Any) -> QuerySet[Permission, str]:
    """Labels (``app.codename``) of a user's permissions: from the staff role, from other groups, and the user's own.

    ``user`` is a user id, or an ``OuterRef`` to one for use within a subquery.
    """
    within = OuterRef(user) if isinstance(user, OuterRef) else user
    return _permissions(within).values_list(Concat("content_type__app_label", Value("."), "codename"), flat=True)


def outranks(user: Any, other: Any) -> bool:
    """Whether ``user`` holds a right that ``other`` does not; a superuser holds them all."""
    if user.is_superuser or other.is_superuser:
        return not other.is_superuser
    return _permissions(user.pk).exclude(pk__in=_permissions(other.pk).values("pk")).exists()


def roles_to_give(user: Any) -> QuerySet[Group]:
    """The roles that ``user`` may give to others: of the five, those without a right that ``user`` does not hold."""
    if user.is_superuser:
        return Group.objects.all()
    beyond = _GroupPermission.objects.exclude(permission__in=_permissions(user.pk).values("pk"))
    return Group.objects.filter(name__in=ROLE_RIGHTS).exclude(pk__in=beyond.values("group"))


def permissions_array(user_ref: str) -> ArraySubquery:
    """``permissions_of`` as a column of another query."""
    return ArraySubquery(permissions_of(OuterRef(user_ref)))


def staff_list(hotel: Hotel) -> QuerySet[Staff]:
    """The hotel's active members, with their users."""
    return Staff.objects.filter(hotel=hotel, is_active=True).select_related("user")
