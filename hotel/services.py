"""Signing in and out."""

from django.contrib.auth import authenticate
from django.db import transaction
from knox.models import AuthToken

from common import clock
from common.errors import HotelMateError, NotAllowed
from hotel.models import Staff


class WrongCredentials(HotelMateError):
    status = 401
    code = "INVALID_CREDENTIALS"

    def __init__(self) -> None:
        message = "Wrong user name or password."
        super().__init__(message, extra={"non_field_errors": [message]})


class SignInRefused(NotAllowed):
    """The credentials are right, but this person may not come in."""

    code = "SIGN_IN_REFUSED"

    def __init__(self, message: str) -> None:
        super().__init__(message, extra={"non_field_errors": [message]})


def sign_in(*, username: str, password: str) -> tuple[Staff, str]:
    """The member of staff and a new token, good for 14 days. Their expired tokens are swept away."""
    user = authenticate(username=username, password=password)
    if user is None:
        raise WrongCredentials
    staff = Staff.objects.select_related("user", "hotel", "role").filter(user=user).first()
    if staff is None:
        raise SignInRefused("This user is not on the staff of a hotel.")
    if not (user.is_active and staff.is_active):
        raise SignInRefused("This account is deactivated. Ask your manager.")
    with transaction.atomic():
        AuthToken.objects.filter(user=user, expiry__lte=clock.now()).delete()
        _, token = AuthToken.objects.create(user=user)
    return staff, token


def sign_out(token: AuthToken) -> None:
    """The token is dead at once."""
    token.delete()
