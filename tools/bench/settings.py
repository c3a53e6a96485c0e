"""The bench's settings: HotelMate's, with the floor's views added."""

from hotelmate.settings import *  # noqa: F403 - the real settings are measured

ROOT_URLCONF = "tools.bench.urls"

# Plain http needs development mode, which would search static files again at each request.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = False
