"""The sign-in forms of the admin and of the board: tried as often as the API's sign-in and no more."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm

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
