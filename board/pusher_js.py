"""Where a page of the board gets pusher-js: the file that npm has installed, else its makers' CDN."""

from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage

OURS = "pusher-js/pusher.min.js"  # from node_modules, by STATICFILES_DIRS
# The oldest version that reconnects for good (docs/realtime.md). The hash is that of npm's dist/web/pusher.min.js of
# 8.2.0; a browser refuses anything else.
FROM_CDN = "https://js.pusher.com/8.2.0/pusher.min.js"
INTEGRITY = "sha384-gA0TPBlnosOv77mNKhqDqUd7BMOqU7f5VlaEGFdyCus4A5l7JHELZ4K5dQMBSL1j"


@dataclass(frozen=True)
class Script:
    """The address of a script; one of another origin comes with the hash that it must have."""

    url: str
    integrity: str = ""


def pusher_js() -> Script:
    """The script as this server can offer it."""
    # Development serves from where the files lie, production what the last `collectstatic` has found there: what an
    # earlier one has collected lies about, but nobody can name it.
    if not settings.WHITENOISE_USE_FINDERS or finders.find(OURS):
        with suppress(ValueError):
            return Script(staticfiles_storage.url(OURS))
    return Script(FROM_CDN, integrity=INTEGRITY)
