"""What gunicorn itself answers to a request that it cannot read, and that therefore never reaches Django."""

import json
from typing import Any

from gunicorn import util

from common.handlers import error_body

# By the status that gunicorn has chosen; its own words quote the request.
MESSAGES = {
    400: "The request is not valid HTTP.",
    414: "The address is too long: 4,000 characters will do.",
    417: "The header Expect asks for what this server does not do.",
    431: "The headers are too many or too long: 100, of 8,000 characters each, will do.",
    501: "The body comes in a coding that this server does not know.",
}


def write_error(sock: Any, status_int: int, reason: str, mesg: str) -> None:
    """In the place of ``gunicorn.util.write_error``, which writes a page of HTML: the error body that clients read."""
    refusal = error_body("MALFORMED_REQUEST", MESSAGES.get(status_int, "The request could not be read."))
    if status_int == 500:
        refusal = error_body("SERVER_ERROR", "Something went wrong on our side. It has been logged.")
    body = json.dumps(refusal).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)
