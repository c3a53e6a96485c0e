"""The WSGI application on the soak's clock."""

from tools.soak.process import adapt, install

install()

from hotelmate.wsgi import application  # noqa: E402 - after the clock is set

adapt()

__all__ = ["application"]
