"""HotelMate for gunicorn, on the soak's clock."""

from tools.soak.process import adapt, install

install()

from hotelmate.wsgi import application  # noqa: E402 - the clock comes first

adapt()

__all__ = ["application"]
