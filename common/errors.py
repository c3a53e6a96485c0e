"""The kinds of refusal that services raise; each carries its HTTP status and its code.

A leaf class is declared next to the service that raises it and is named for the refusal (``TransitionNotAllowed``).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple


class Lift(NamedTuple):
    """What lifts a refusal: a caller with one of ``rights``, who gives ``needs`` (blank: nothing more)."""

    rights: tuple[str, ...]
    needs: str = ""


class Blocker(NamedTuple):
    """What stands in the way: ``id`` as in the API's paths, ``label`` for people, without a guest's name."""

    type: str
    id: int | str
    label: str


class HotelMateError(Exception):
    """A refusal that is reported to the caller.

    ``message`` is one sentence for people; ``details`` is JSON-safe. ``extra`` goes to the body's top level, beside the
    five keys that every error has. ``retry_after`` is in seconds, for requests that may succeed in a moment.
    ``lift`` and ``blocker`` are for those who ask before they act: they are not part of the error's response.
    """

    status: ClassVar[int] = 500
    code: str = "ERROR"
    retry_after: ClassVar[int | None] = None

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        lift: Lift | None = None,
        blocker: Blocker | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.lift = lift
        self.blocker = blocker
        self.details = dict(details or {})
        self.extra = dict(extra or {})


class InvalidInput(HotelMateError):
    """The request is malformed, whatever the state of the hotel."""

    status = 400
    code = "VALIDATION_ERROR"


class FieldError(InvalidInput):
    """One field of the request is wrong; ``field`` names it."""

    def __init__(self, field: str, message: str):
        super().__init__(message, details={field: [message]}, extra={field: [message]})


class ReadOnlyField(InvalidInput):
    """Fields of the request that it cannot change; ``refusals`` has a sentence for each."""

    code = "READ_ONLY_FIELD"

    def __init__(self, refusals: Mapping[str, str]):
        fields = {field: [message] for field, message in refusals.items()}
        super().__init__(" ".join(refusals.values()), details=fields, extra=fields)


class NotAllowed(HotelMateError):
    """The caller lacks the right."""

    status = 403
    code = "PERMISSION_DENIED"


class NotFound(HotelMateError):
    """No such object in the caller's hotel."""

    status = 404
    code = "NOT_FOUND"


class Conflict(HotelMateError):
    """The current state forbids it."""

    status = 409
    code = "CONFLICT"


class FieldConflict(Conflict):
    """Another row already has this field's value. ``details`` names the field, for the form that sent it."""

    def __init__(self, field: str, message: str):
        super().__init__(message, details={field: [message]})
