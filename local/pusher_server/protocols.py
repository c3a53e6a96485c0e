"""uvicorn's protocols, with what a hostile client can make them do taken out."""

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# How many bytes may wait, in the process, for a client that pings and doesn't read the pongs.
MAX_UNREAD_PONGS = 256 * 1024


class HttpProtocol(H11Protocol):
    """Hangs up when not even the refusal of a broken request can be sent: to a HEAD, or after an answer has begun."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; without this the event loop would log a traceback."""
        try:
            super().send_400_response(msg)
        except LocalProtocolError:
            self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Pongs are written at once, past the queue that bounds everything else; a client that leaves them is cut off."""

    def handle_ping(self) -> None:
        """Answer, unless too much of that waits already."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.transport.abort()
