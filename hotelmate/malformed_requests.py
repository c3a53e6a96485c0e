"""gunicorn's responses to requests that it cannot read and that therefore never reach Django."""

import json
from typing import Any

from gunicorn import util

from common.handlers import error_body

# By the status that gunicorn has chosen; its own messages quote the request.
MESSAGES = {
    400: "The request is not valid HTTP.",
    414: "The URL is too long: at most 4,000 characters are accepted.",
    417: "This server does not support the value of the Expect header.",
    431: "The headers are too many or too long: at most 100, of 8,000 characters each, are accepted.",
    501: "This server does not support the transfer coding of the body.",
}


def write_error(sock: Any, status_int: int, reason: str, mesg: str) -> None:
    """Replaces ``gunicorn.util.write_error``, which writes an HTML page, to send the error body that clients read."""
    refusal = error_body("MALFORMED_REQUEST", MESSAGES.get(status_int, "The request could not be read."))
    if status_int == 500:
        refusal = error_body("SERVER_ERROR", "Something went wrong on our side. It has been logged.")
    body = json.dumps(refusal).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)
