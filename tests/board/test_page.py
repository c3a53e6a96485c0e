"""The board's HTML, its scripts and styles, and the static files in production."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles import finders

from board import pusher_js as scripts
from local.datadir import PROJECT
from rooms.models import Priority, RoomStatus

from .conftest import create_board_data, embedded

BOARD = "/board/grand/"
PAGES = (BOARD, "/board/sign-in/", "/board/other/")
STATIC = Path(PROJECT, "board", "static", "board")
MODULES = sorted(STATIC.glob("*.js"))
# Tags without an end tag.
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """The tags of a page in order, with their attributes and direct text."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(answer.content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def with_id(self, identity: str) -> tuple[str, dict[str, str | None]]:
        [found] = [(name, attributes) for name, attributes in self.tags if attributes.get("id") == identity]
        return found


@pytest.fixture
def page(browser, hotel, manager) -> Page:
    return Page(browser(manager).get(BOARD))


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_well_formed_without_inline_scripts_or_styles(browser, manager, path):
    page = Page(browser(None if "sign-in" in path else manager).get(path))
    assert page.open == []
    assert [html["lang"] for html in page.all("html")] == ["en"]
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for (name, attributes), text in zip(page.tags, page.texts, strict=True):
        assert name != "style"
        assert not [key for key in attributes if key == "style" or key.startswith("on")]
        if name == "script" and attributes.get("type") != "application/json":
            assert attributes["src"] and not text.strip()


def test_every_field_has_a_label(page):
    labelled = {label["for"] for label in page.all("label")}
    fields = [*page.all("select"), *page.all("textarea"), *page.all("input")]
    assert {field["id"] for field in fields if field.get("type") != "hidden"} == labelled


def test_the_page_has_every_element_that_its_scripts_select(page):
    names = {name for script in MODULES for name in re.findall(r"""\$\(\s*["'`]#([\w-]+)""", script.read_text())}
    assert {"floors", "counts", "filters", "room", "refusal", "connection", "board-state", "csrf"} <= names
    # `fill` selects arrivals and departures by the name of the list.
    for name in names | {"arrivals", "departures", "tile-template"}:
        page.with_id(name)


def test_the_page_is_labelled_for_screen_readers(page):
    assert page.with_id("connection")[1] == {"id": "connection", "role": "status", "data-state": "reconnecting"}
    assert page.with_id("refusal")[1]["role"] == "alert"
    assert page.with_id("room") == ("dialog", {"id": "room", "aria-labelledby": "room-heading"})
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert {cell["scope"] for cell in page.all("th")} == {"col"}
    assert [section.get("aria-label") or section.get("aria-labelledby") for section in page.all("section")] == [
        "Counts and filters",
        "Arrivals",
        "Departures",
        "history-heading",
    ]
    assert "noscript" in dict(page.tags)


def test_the_priorities_are_those_of_the_model(page):
    assert {option["value"] for option in page.all("option")} - {""} == set(Priority.values)


def test_words_and_styles_cover_every_status():
    words = (STATIC / "words.js").read_text()
    [readiness] = re.findall(r"READINESS = \{(.*?)\n\};", words, re.DOTALL)
    [verbs] = re.findall(r"verbs = \{(.*?)\n  \};", words, re.DOTALL)
    for block in (readiness, verbs):
        assert re.findall(r"^ +([A-Z_]+):", block, re.MULTILINE) == RoomStatus.values
    css = (STATIC / "board.css").read_text()
    assert set(re.findall(r'^\[data-status="(\w+)"\]', css, re.MULTILINE)) == set(RoomStatus.values)


def test_names_are_escaped(browser, hotel, manager):
    create_board_data(hotel, manager)
    manager.user.first_name = "</script><script>alert(1)</script>"
    manager.user.save()
    hotel.name = "<b>Grand</b> & Co"
    hotel.save()
    answer = browser(manager).get(BOARD)
    assert b"<script>alert" not in answer.content
    assert b"<b>Grand" not in answer.content
    assert embedded(answer)["me"]["name"].startswith("</script>")


def test_scripts_insert_no_html():
    for script in MODULES:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script.read_text()), (
            script
        )


def test_each_file_says_what_it_owns():
    for file in [*MODULES, STATIC / "board.css"]:
        assert re.match(r"// Owns |/\* Styles of ", file.read_text()), file


# --- pusher-js --------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """``installed(there=True)`` pretends that npm has installed pusher-js, regardless of this machine."""

    def decide(*, there: bool) -> None:
        find = finders.find
        monkeypatch.setattr(django_settings, "WHITENOISE_USE_FINDERS", True)
        monkeypatch.setattr(
            scripts.finders, "find", lambda path: there if path == scripts.OURS else find(path), raising=True
        )

    return decide


def script_of(answer) -> dict[str, str | None]:
    tag, attributes = Page(answer).with_id("pusher-js")
    assert tag == "script"
    # The page does not wait for a third-party script.
    assert "async" in attributes
    return attributes


def test_pusher_js_is_served_locally_if_npm_has_installed_it(browser, manager, installed, pusher_account):
    installed(there=True)
    answer = browser(manager).get(BOARD)
    assert script_of(answer) == {"id": "pusher-js", "src": "/static/pusher-js/pusher.min.js", "async": None}
    assert "script-src 'self';" in answer["Content-Security-Policy"]


def test_pusher_js_otherwise_comes_from_its_cdn_with_integrity(browser, manager, installed, pusher_account):
    installed(there=False)
    answer = browser(manager).get(BOARD)
    assert script_of(answer) == {
        "id": "pusher-js",
        "src": scripts.FROM_CDN,
        "integrity": scripts.INTEGRITY,
        "crossorigin": "anonymous",
        "async": None,
    }
    assert f"script-src 'self' {scripts.FROM_CDN};" in answer["Content-Security-Policy"]
    assert re.fullmatch(r"sha384-[A-Za-z0-9+/]{64}", scripts.INTEGRITY)


def test_without_a_pusher_account_the_script_is_left_out(browser, manager, settings):
    settings.PUSHER_APP_ID = ""
    answer = browser(manager).get(BOARD)
    assert "pusher-js" not in [attributes.get("id") for attributes in Page(answer).all("script")]
    assert "script-src 'self';" in answer["Content-Security-Policy"]


def test_every_script_and_style_of_the_page_exists(page):
    own = [script["src"] for script in page.all("script") if script.get("type") == "module"]
    own += [link["href"] for link in page.all("link")]
    assert len(own) == 3
    for address in own:
        assert finders.find(address.removeprefix("/static/")), address


def test_modules_import_only_existing_files():
    for script in MODULES:
        for name in re.findall(r'from "(.+?)"', script.read_text()):
            assert (STATIC / name).is_file(), f"{script.name}: {name}"


# --- production -------------------------------------------------------------------------------------------------------

COLLECT = """
import django, json
django.setup()
from django.core.management import call_command
from django.conf import settings
settings.STATIC_ROOT = {root!r}
settings.STATICFILES_DIRS = {dirs!r}
call_command("collectstatic", interactive=False, verbosity=0)
from board.pusher_js import pusher_js
from django.templatetags.static import static
print(json.dumps([pusher_js().url, pusher_js().integrity, static("board/board.js"), static("board/board.css")]))
"""


@pytest.fixture
def collect(tmp_path):
    """``collect(npm=True)`` runs collectstatic as in production, with or without npm's files; a second call upgrades.

    Returns the URL and integrity hash of pusher-js, and the URLs of the board's script and style.
    """
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "pusher.min.js").write_text("self.Pusher = 1;\n//# sourceMappingURL=pusher.min.js.map\n")
    (dist / "pusher.min.js.map").write_text("{}")

    def collect(*, npm: bool) -> list[str]:
        code = COLLECT.format(root=str(tmp_path / "static"), dirs=[("pusher-js", str(dist))] if npm else [])
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "hotelmate.settings", "SECRET_KEY": "x" * 50}
        env.pop("DEVELOPMENT", None)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return collect


@pytest.mark.parametrize("npm", [True, False])
def test_collected_files_have_hashed_names_and_exist(tmp_path, collect, npm):
    root = tmp_path / "static"
    url, integrity, script, style = collect(npm=npm)
    if npm:
        assert re.fullmatch(r"/static/pusher-js/pusher\.min\.[0-9a-f]{12}\.js", url) and not integrity
    else:
        assert (url, integrity) == (scripts.FROM_CDN, scripts.INTEGRITY)
    assert re.fullmatch(r"/static/board/board\.[0-9a-f]{12}\.js", script)
    for address in [script, style, *([url] if npm else [])]:
        assert (root / address.removeprefix("/static/")).is_file()
    # Imports are hashed too, so that after an upgrade no script imports an old module.
    modules = [root / script.removeprefix("/static/")]
    for module in modules:
        imported = re.findall(r'from "\./(.+?)"', module.read_text())
        assert [name for name in imported if not re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name)] == []
        modules += [module.with_name(name) for name in imported if module.with_name(name) not in modules]
    assert {re.sub(r"\.[0-9a-f]{12}", "", module.name) for module in modules} == {module.name for module in MODULES}


def test_an_upgrade_without_npm_falls_back_to_the_cdn(tmp_path, collect):
    """A failed npm leaves its folder empty; the file collected earlier stays, but the page no longer refers to it."""
    collect(npm=True)
    assert collect(npm=False)[:2] == [scripts.FROM_CDN, scripts.INTEGRITY]
    assert (tmp_path / "static" / scripts.OURS).is_file()
