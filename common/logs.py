"""What a log line may say of an error: where it happened and what kind it was, and never whose data it met.

PostgreSQL's errors quote the row that was refused, Python's the value that made no sense, and a mail server's the
guest's address. So the words of an error are left out, but where they can only name code or a machine.
"""

import copy
import logging
import traceback
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

# Their words are about code, numbers or the machine.
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
# Of these only what the operating system itself says: those that are derived elsewhere quote what they were sent.
OF_THE_MACHINE = (ConnectionError, FileNotFoundError, PermissionError, TimeoutError, OSError)

# What gunicorn says of a request that it cannot read, or that broke in its own hands; what follows quotes the request,
# and there may be a token or a name in it.
OF_REQUESTS = ("Invalid request from ip=", "Error handling request")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class RedactingFormatter(logging.Formatter):
    """Lines as usual; errors with every frame, and without their words where these may quote data."""

    def format(self, record: logging.LogRecord) -> str:
        # Another handler may have left its own text of the error there.
        record = copy.copy(record)
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return error_report(ei[1]) if ei and ei[1] is not None else ""


def redact_server_log(log: logging.Logger) -> None:
    """Keep out of gunicorn's own log whatever a client sent, its address included."""
    log.addFilter(_without_request)
    for handler in log.handlers:
        form = handler.formatter
        handler.setFormatter(RedactingFormatter(form._fmt, form.datefmt) if form else RedactingFormatter())


def _without_request(record: logging.LogRecord) -> bool:
    for beginning in OF_REQUESTS:
        if str(record.msg).startswith(beginning):
            record.msg, record.args = beginning.partition(" from")[0], ()
    return record.levelno > logging.DEBUG  # at which it writes down every address


def error_report(error: BaseException) -> str:
    """The error and what led to it, the first cause first, as Python prints them."""
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
    """The kind of error, with whatever of its words is harmless."""
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    words = harmless_words(error)
    return f"{name}: {words}" if words else name


def harmless_words(error: BaseException) -> str:
    driver = error.__cause__ if isinstance(error, DatabaseError) else error
    if isinstance(error, OperationalError | InterfaceError):
        return str(error).partition("\n")[0]  # what follows quotes rows and statements
    if code := getattr(driver, "pgcode", None):
        diagnosis = getattr(driver, "diag", None)
        names = (getattr(diagnosis, what, None) for what in ("table_name", "column_name", "constraint_name"))
        return " ".join([f"SQLSTATE {code}", *filter(None, names)])
    if isinstance(error, HARMLESS) or type(error) in OF_THE_MACHINE:
        return str(error)
    return ""
