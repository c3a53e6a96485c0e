"""The sign-in forms of the admin and of the board, tried as often as the API's sign-in and no more; users' forms."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AdminUserCreationForm, AuthenticationForm, UserChangeForm, UsernameField
from django.contrib.auth.models import User

from common.forms import LineField
from hotel.services import SignInRefused, staff_to_sign_in
from hotel.throttles import seconds_to_wait


class ThrottledSignIn(AuthenticationForm):
    """Counts each try before it looks at the password."""

    def clean(self) -> dict[str, Any]:
        wait = seconds_to_wait(self.request, str(self.cleaned_data.get("username", "")))
        if wait is not None:
            raise forms.ValidationError(f"Too many tries. Try again in {wait:.0f} seconds.", code="throttled")
        return super().clean()


class AdminSignInForm(ThrottledSignIn, AdminAuthenticationForm):
    """The admin's."""


class StaffSignInForm(ThrottledSignIn):
    """The board's: for every active member of staff."""

    def confirm_login_allowed(self, user: Any) -> None:
        try:
            staff_to_sign_in(user)
        except SignInRefused as refused:
            raise forms.ValidationError(refused.message, code="refused") from refused


class UserNameField(LineField, UsernameField):
    """A name to sign in by: one line, with nothing invisible in it, in Django's own Unicode form (NFKC)."""


class UserForm(UserChangeForm):
    """A user's page. (That of a new user has the same check from Django.)"""

    class Meta(UserChangeForm.Meta):
        field_classes = {"username": UserNameField}

    def clean_username(self) -> str:
        """Refuse what differs from another's name in capitals and small letters only."""
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A user with that username already exists.", code="unique")
        return name


class NewUserForm(AdminUserCreationForm):
    """A new user."""

    class Meta(AdminUserCreationForm.Meta):
        field_classes = {"username": UserNameField}
