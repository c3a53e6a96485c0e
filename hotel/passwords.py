"""What a new password brings with it, wherever it is set: nobody stays signed in with the old one."""

from typing import Any

from knox.models import AuthToken


class NewPasswordSignsOut:
    """Django asks it about every password, and tells it when one has been stored.

    Django itself ends the sessions; a token knows nothing of passwords. Who has stolen one is out all the same.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Any password will do."""

    def get_help_text(self) -> str:
        return "A new password signs you out on every other device."

    def password_changed(self, password: str, user: Any) -> None:
        AuthToken.objects.filter(user=user).delete()
