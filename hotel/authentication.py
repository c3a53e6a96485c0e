"""Authenticates API requests: by a knox token or, for browsers, the Django session."""

from typing import Any

from django.http import QueryDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from common import clock
from common.prepared import PreparedRead
from hotel.selectors import permissions_array

# Tokens of active members, with user, staff profile, hotel and role.
_token = PreparedRead(
    lambda: (
        AuthToken.objects.filter(user__is_active=True, user__staff_profile__is_active=True)
        .select_related("user__staff_profile__hotel", "user__staff_profile__role")
        .annotate(held_permissions=permissions_array("user_id"))
    ),
)


class StaffTokenAuthentication(TokenAuthentication):
    """``Authorization: Token <key>``, read in one statement with user, staff, hotel and rights.

    knox stores the SHA-512 of a 256-bit random token; looking up the digest is safe, because nobody can find a token
    for a given digest. A token becomes invalid when it expires, or when the user or the staff profile is deactivated.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("Invalid token.") from error
        found = _token.read(digest=digest)
        # Checked here, because the prepared statement cannot contain the current time.
        if not found or found[0].expiry <= clock.now():
            raise AuthenticationFailed("Invalid token.")
        [auth_token] = found
        auth_token.user.held_permissions = set(auth_token.held_permissions)
        return auth_token.user, auth_token


class StaffSessionAuthentication(SessionAuthentication):
    """The Django session of a signed-in browser, with Django's CSRF check on the header ``X-CSRFToken``."""

    def enforce_csrf(self, request: Any) -> None:
        # The token never comes in a form field: our bodies are JSON, which Django's check would parse as a form.
        request._request.POST = QueryDict()
        super().enforce_csrf(request._request)


class TokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes the token."""

    target_class = "hotel.authentication.StaffTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <key>`; `POST /api/staff/login/` returns the key.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes the session."""

    target_class = "hotel.authentication.StaffSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "For browsers."}
