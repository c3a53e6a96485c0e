"""Signs users in and reads their permissions: Django's backend, extended by the role on the staff profile."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend

from common.prepared import PreparedRead
from hotel.selectors import permissions_array, permissions_of

User = get_user_model()
# Read at every request that comes with a session.
_session_user = PreparedRead(
    lambda: User.objects.select_related("staff_profile__hotel", "staff_profile__role").annotate(
        held_permissions=permissions_array("pk")
    )
)


class StaffBackend(ModelBackend):
    """Django's model backend, with four additions.

    User names match in any case (they are unique regardless of case, migration 0005) and in any Unicode form. A session
    of a deactivated member ends at the next request. A member's permissions include those of the role; they are read
    with the session's user in one statement. An inactive user with the right password is returned, so that the sign-in
    can give that reason.
    """

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """The user, if the password is right. Inactive users too: each sign-in refuses them itself, with a reason."""
        if username is None or password is None:
            return None
        found = User.objects.filter(username__iexact=User.normalize_username(username))
        user = next(iter(found), None)  # the name is unique
        if user is None:
            User().set_password(password)  # takes as long as for an existing user
            return None
        return user if user.check_password(password) else None

    def get_user(self, user_id: Any) -> Any:
        found: list[Any] = _session_user.read(pk=user_id)
        if not found or not found[0].is_active:
            return None
        [user] = found
        user.held_permissions = set(user.held_permissions)
        profile = getattr(user, "staff_profile", None)
        return user if profile is None or profile.is_active else None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "held_permissions"):
            user_obj.held_permissions = set(permissions_of(user_obj.pk))
        return user_obj.held_permissions
