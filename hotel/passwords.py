"""Signs a user out everywhere when their password changes, wherever it is changed."""

from typing import Any

from knox.models import AuthToken


class NewPasswordSignsOut:
    """A password validator, because Django calls those when a password has been stored.

    Django itself ends the sessions. Tokens do not depend on the password, so they are deleted here: a stolen one stops
    working.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        return "A new password signs you out on every other device."

    def password_changed(self, password: str, user: Any) -> None:
        AuthToken.objects.filter(user=user).delete()
