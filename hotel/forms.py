"""The sign-in forms of the admin and the board, throttled together with the API's sign-in, and the user forms."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AdminUserCreationForm, AuthenticationForm, UserChangeForm, UsernameField
from django.contrib.auth.models import User

from common.forms import LineField
from hotel.services import SignInRefused, staff_to_sign_in
from hotel.throttles import seconds_to_wait


class ThrottledSignIn(AuthenticationForm):
    """Counts each attempt before it checks the password."""

    def clean(self) -> dict[str, Any]:
        wait = seconds_to_wait(self.request, str(self.cleaned_data.get("username", "")))
        if wait is not None:
            raise forms.ValidationError(f"Too many attempts. Try again in {wait:.0f} seconds.", code="throttled")
        return super().clean()


class AdminSignInForm(ThrottledSignIn, AdminAuthenticationForm):
    """The admin's sign-in form."""


class StaffSignInForm(ThrottledSignIn):
    """The board's sign-in form, for every active member of staff."""

    def confirm_login_allowed(self, user: Any) -> None:
        try:
            staff_to_sign_in(user)
        except SignInRefused as refused:
            raise forms.ValidationError(refused.message, code="refused") from refused


class UserNameField(LineField, UsernameField):
    """A user name: one line without invisible characters, in Django's own Unicode form (NFKC)."""


class UserForm(UserChangeForm):
    """The form for an existing user. (For a new user, Django makes the same check.)"""

    class Meta(UserChangeForm.Meta):
        field_classes = {"username": UserNameField}

    def clean_username(self) -> str:
        """Refuse a name that differs from another user's only in case."""
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A user with that username already exists.", code="unique")
        return name


class NewUserForm(AdminUserCreationForm):
    """The form for a new user."""

    class Meta(AdminUserCreationForm.Meta):
        field_classes = {"username": UserNameField}
