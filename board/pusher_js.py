"""The source of pusher-js for the board's pages: the copy installed by npm, otherwise Pusher's CDN."""

from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage

OURS = "pusher-js/pusher.min.js"  # from node_modules, by STATICFILES_DIRS
# The oldest version that reconnects reliably (docs/realtime.md). The hash is of dist/web/pusher.min.js in the npm
# package 8.2.0; browsers refuse anything else.
FROM_CDN = "https://js.pusher.com/8.2.0/pusher.min.js"
INTEGRITY = "sha384-gA0TPBlnosOv77mNKhqDqUd7BMOqU7f5VlaEGFdyCus4A5l7JHELZ4K5dQMBSL1j"


@dataclass(frozen=True)
class Script:
    """A script's URL, with the integrity hash if it comes from another origin."""

    url: str
    integrity: str = ""


def pusher_js() -> Script:
    """The best available source of the script."""
    # Development serves files from their folders, production what the last `collectstatic` collected: files of earlier
    # runs may still exist, but have no entry in the manifest.
    if not settings.WHITENOISE_USE_FINDERS or finders.find(OURS):
        with suppress(ValueError):
            return Script(staticfiles_storage.url(OURS))
    return Script(FROM_CDN, integrity=INTEGRITY)
