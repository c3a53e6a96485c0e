"""The base of every staff endpoint: it resolves the caller and the hotel, and checks the right."""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.http import parse_etags
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from common import dry_run
from common.errors import FieldError, InvalidInput, NotAllowed, NotFound


class HotelAccessDenied(NotAllowed):
    code = "HOTEL_ACCESS_DENIED"


class NoStaffProfile(NotAllowed):
    code = "NO_STAFF_PROFILE"


def staff_of(user: Any, slug: str | None) -> Any:
    """The active staff profile of ``user``, at the hotel ``slug`` (``None``: at any). Raises ``NotAllowed``."""
    staff = getattr(user, "staff_profile", None)
    if staff is None or not staff.is_active:
        raise NoStaffProfile("This user is not on the staff of a hotel.")
    if slug is not None and slug != staff.hotel.slug:
        # The same response whether that hotel exists or not.
        raise HotelAccessDenied("Permission denied: you are not on the staff of this hotel.")
    return staff


# The parameter that makes a writing request a dry run (docs/api.md, Dry run), and the methods that never write.
DRY_RUN = "dry_run"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
NO_CONTENT = 204
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def is_dry_run(request: Any) -> bool:
    """Whether a writing request is to be a dry run.

    A value that is not clearly true or false is refused, even a blank one: the caller may have meant a dry run.
    """
    if request.method in SAFE_METHODS or DRY_RUN not in request.query_params:
        return False
    values = {BOOLEANS.get(value.lower()) for value in request.query_params.getlist(DRY_RUN)}
    if len(values) > 1 or None in values:
        raise FieldError(DRY_RUN, "Must be true or false.")
    return True in values


class WithoutDryRun(APIView):
    """A view that has no dry run, and refuses to run for a caller who asks for one."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if is_dry_run(request):
            raise FieldError(DRY_RUN, "This endpoint has no dry run.")
        super().initial(request, *args, **kwargs)


class HotelViewSet(GenericViewSet):
    """A view of one hotel's data, for that hotel's staff. Sets ``self.staff`` and ``self.hotel``.

    ``rights`` maps an action (or ``*``) to rights of which the caller needs one. An action that is not listed is open
    to all the hotel's staff; its service checks rights. Every writing action can be a dry run (``common.dry_run``);
    ``show_effects`` describes what it changed, as the caller may see it.
    """

    rights: ClassVar[Mapping[str, Iterable[str]]] = {}
    queryset: Any  # of any model; each request narrows it to the hotel
    staff: Any  # hotel.models.Staff and Hotel, which this layer must not import
    hotel: Any
    show_effects: Any = None  # operations.effects.show_effects, passed by hotelmate/urls.py
    rehearsal: dry_run.Rehearsal | None = None  # of a dry run

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        # Response and view refer to each other: the cycle would keep megabytes of rooms until the next collection.
        del self.response
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if is_dry_run(request):
            self._rehearse(str(request.method).lower())
        super().initial(request, *args, **kwargs)
        self.staff = staff_of(request.user, kwargs["slug"])
        self.hotel = self.staff.hotel
        self._require_right()
        # Parsed even where no body is needed, so that a malformed one is refused before anything happens.
        request.data  # noqa: B018 - the property parses

    def _rehearse(self, method: str) -> None:
        """Replace the action by its dry run."""
        action = getattr(self, method, self.http_method_not_allowed)
        rehearsal = self.rehearsal = dry_run.Rehearsal()

        def rehearsed(*args: Any, **kwargs: Any) -> Any:
            try:
                with rehearsal.rolled_back():
                    return action(*args, **kwargs)
            finally:
                if rehearsal.changes or rehearsal.payments:  # now that it holds no locks any more
                    rehearsal.effects = self.show_effects(rehearsal, self.staff)

        setattr(self, method, rehearsed)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if self.rehearsal is not None:
            # The version in it is not the resource's: nothing has changed.
            response.headers.pop("ETag", None)
            body = {"status": response.status_code} if response.data is None else response.data
            response.data = self.rehearsal.answer(body)
            if response.status_code == NO_CONTENT:
                response.status_code = 200
        return super().finalize_response(request, response, *args, **kwargs)

    def _require_right(self) -> None:
        needed = self.rights.get(self.action, self.rights.get("*"))
        if needed is not None and not self.can_any(needed):
            raise NotAllowed(self.refusal_message())

    def refusal_message(self) -> str:
        """The message for a caller without the right."""
        return "Permission denied: your role does not include this."

    def can_any(self, rights: Iterable[str]) -> bool:
        """Whether the caller holds one of ``rights``."""
        return any(self.staff.can(right) for right in rights)

    def body(self, serializer: type[serializers.Serializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The validated body; raises 400 with the fields that are wrong."""
        return dict(_shape(serializer, partial=partial).run_validation(self.request.data))

    def query(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated query parameters; blank ones are ignored."""
        given = {name: value for name, value in self.request.query_params.items() if str(value).strip()}
        return dict(_shape(serializer, partial=False).run_validation(given))

    def expands_actions(self) -> bool:
        """Whether the query asks for each row's actions; raises 400 for anything else that it wants expanded."""
        wanted = self.request.query_params.get("expand", "").strip()
        if wanted not in ("", "actions"):
            raise FieldError("expand", "Only actions can be expanded.")
        return bool(wanted)

    def find(self, queryset: QuerySet[Any], error: type[NotFound], message: str, **lookup: Any) -> Any:
        """The one object of the caller's hotel, or the 404 that hides whether another hotel has it."""
        found = queryset.filter(**lookup).first()
        if found is None:
            raise error(message)
        return found


@functools.cache
def _shape(serializer: type[serializers.Serializer[Any]], *, partial: bool) -> serializers.Serializer[Any]:
    """Shared by all requests: validation leaves no state in it, and copying its fields takes longer than validating."""
    return serializer(partial=partial)


# A version as ``etag`` writes it, or as a compressing proxy changed it: nginx makes the tag weak, Caddy and Apache add
# the encoding. The version in it is the same, so both count as the original tag.
VERSION = re.compile(r'(?:W/)?"([0-9]{1,18})(?:-(?:gzip|br|zstd))?"')


def if_match_versions(request: Request) -> list[int] | None:
    """The versions that ``If-Match`` names, any of which may match; ``None`` when the header is absent or ``*``.

    ``*`` requires that the resource exists (RFC 9110, 13.1.1): otherwise it is 404 anyway.
    """
    header = request.headers.get("If-Match", "").strip()
    if not header or header == "*":
        return None
    tags = parse_etags(header)
    if not tags:
        raise InvalidInput('If-Match must be a version in double quotes, such as "7".')
    # A tag that we never issued matches no version: 412, as it should be.
    return [int(found[1]) for tag in tags if (found := VERSION.fullmatch(tag))]


def etag(version: int) -> str:
    """The ``ETag`` value, which ``If-Match`` accepts."""
    return f'"{version}"'
