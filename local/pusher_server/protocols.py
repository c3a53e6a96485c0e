"""uvicorn's protocols, hardened against hostile clients."""

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Bytes that may be buffered for a client that sends pings and doesn't read the pongs.
MAX_UNREAD_PONGS = 256 * 1024


class HttpProtocol(H11Protocol):
    """Closes the connection if no 400 can be sent for a malformed request: to a HEAD, or after a response has begun."""

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP; without this override the event loop would log a traceback."""
        try:
            super().send_400_response(msg)
        except LocalProtocolError:
            self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Limits unread pongs: they bypass the queue that limits everything else."""

    def handle_ping(self) -> None:
        """Send a pong; disconnect the client if too many are unread."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.transport.abort()
