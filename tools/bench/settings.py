"""The settings of the bench: HotelMate's own, with the views of the floor beside its own."""

from hotelmate.settings import *  # noqa: F403 - what is measured runs on the real settings

ROOT_URLCONF = "tools.bench.urls"

# Plain http on loopback takes the development mode, whose static files are looked for anew at each request.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = False
