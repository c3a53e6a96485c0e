"""The tag that puts pusher-js into a page."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from board.pusher_js import pusher_js

register = template.Library()


@register.simple_tag
def pusher_script() -> SafeString:
    """Loaded beside the page, never before it: the board paints, and polls, without it."""
    script = pusher_js()
    if script.integrity:
        return format_html(
            '<script id="pusher-js" src="{}" integrity="{}" crossorigin="anonymous" async></script>',
            script.url,
            script.integrity,
        )
    return format_html('<script id="pusher-js" src="{}" async></script>', script.url)
