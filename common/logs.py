"""What is logged of an error: where it happened and its type, but not the data that its message may quote.

PostgreSQL's errors quote the rejected row, Python's the invalid value, and a mail server's the guest's address. So an
error's message is left out, except where it can only name code or a machine.
"""

import copy
import logging
import traceback
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

# Their messages are about code, numbers or the machine.
HARMLESS: tuple[type[BaseException], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    ImproperlyConfigured,
    MemoryError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
)
# Of these only the exact types, which the operating system raises: subclasses may quote what they were sent.
OPERATING_SYSTEM_ERRORS = (ConnectionError, FileNotFoundError, PermissionError, TimeoutError, OSError)

# gunicorn's messages about a request that it could not read or handle; the rest of the line quotes the request, which
# may contain a token or a name.
GUNICORN_REQUEST_MESSAGES = ("Invalid request from ip=", "Error handling request")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class RedactingFormatter(logging.Formatter):
    """Formats errors with every frame, but without their messages where these may quote data."""

    def format(self, record: logging.LogRecord) -> str:
        # Another handler may have cached its own text of the error there.
        record = copy.copy(record)
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return error_report(ei[1]) if ei and ei[1] is not None else ""


def redact_server_log(log: logging.Logger) -> None:
    """Keep what a client sent, and its IP address, out of gunicorn's own log."""
    log.addFilter(_without_request)
    for handler in log.handlers:
        form = handler.formatter
        handler.setFormatter(RedactingFormatter(form._fmt, form.datefmt) if form else RedactingFormatter())


def _without_request(record: logging.LogRecord) -> bool:
    for beginning in GUNICORN_REQUEST_MESSAGES:
        if str(record.msg).startswith(beginning):
            record.msg, record.args = beginning.partition(" from")[0], ()
    return record.levelno > logging.DEBUG  # at DEBUG it logs every client address


def error_report(error: BaseException) -> str:
    """The error and its causes, the first cause first, as Python prints them."""
    chain = [error]
    while (before := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)) and (
        before not in chain
    ):
        chain.append(before)
    return "\nwhich led to:\n".join(
        "".join(["Traceback (most recent call last):\n", *traceback.format_tb(one.__traceback__), error_summary(one)])
        for one in reversed(chain)
    )


def error_summary(error: BaseException) -> str:
    """The type of the error, with its message where that is harmless."""
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    message = harmless_message(error)
    return f"{name}: {message}" if message else name


def harmless_message(error: BaseException) -> str:
    """The error's message, or the part of it that cannot quote data."""
    driver = error.__cause__ if isinstance(error, DatabaseError) else error
    if isinstance(error, OperationalError | InterfaceError):
        return str(error).partition("\n")[0]  # the rest quotes rows and statements
    if code := getattr(driver, "pgcode", None):
        diagnosis = getattr(driver, "diag", None)
        names = (getattr(diagnosis, what, None) for what in ("table_name", "column_name", "constraint_name"))
        return " ".join([f"SQLSTATE {code}", *filter(None, names)])
    if isinstance(error, HARMLESS) or type(error) in OPERATING_SYSTEM_ERRORS:
        return str(error)
    return ""
