"""How Django signs people in and reads what they may do: Django's own way, plus the role on the staff profile."""

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

    A user is found by their name in any case, in which no other has it (migration 0005), and in any Unicode form. A
    session of a deactivated member ends at the next request; a member's permissions include those of the role and are
    read with the session's user, in one statement; and a right password of an inactive user is told apart from a wrong
    one, so that the sign-in can say which it was.
    """

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """The user, if the password is right; inactive ones too, whom each sign-in refuses itself, with a reason."""
        if username is None or password is None:
            return None
        found = User.objects.filter(username__iexact=User.normalize_username(username))
        user = next(iter(found), None)  # nobody else has the name
        if user is None:
            User().set_password(password)  # takes as long as for a name that somebody has
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
