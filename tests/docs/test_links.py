"""Every link of the documentation to a project file, or to a heading in it, resolves."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from local.datadir import PROJECT

PAGES = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "tools").rglob("*.md")),
]
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:img|a)\b[^>]*(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def links(text: str) -> list[str]:
    """The targets of a page's links, except other sites."""
    found = [link or tag for link, tag in _LINK.findall(_CODE.sub("", text))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub generates them."""
    names: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{name}-{names[name]}" if name in names else name)
        names[name] = names.get(name, 0) + 1
    return found


def dead(page: Path, text: str) -> Iterator[str]:
    """The broken links of a page."""
    for link in links(text):
        path, _, anchor = unquote(link).partition("#")
        target = page if not path else page.parent / path
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text())):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_resolve(page):
    assert list(dead(page, page.read_text())) == []


def missing_paths(text: str) -> list[str]:
    """Paths in backticks, such as `rooms/models.py` and `tests/model/`, that the project does not have."""
    paths = re.findall(r"`((?:[a-z_.]+/)+(?:[\w-]+\.(?:py|md|toml|html|js))?)`", text)
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir()}
    return [path for path in paths if path.partition("/")[0] in folders and not (PROJECT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_paths_exist(page):
    if page.name != "CHANGELOG.md":  # which speaks of what was
        assert missing_paths(page.read_text()) == []


def test_a_missing_path_is_found():
    text = "`rooms/models.py`, `rooms/gone.py`, `tests/model/`, `tests/gone/`, `room_type/id`, `other/models.py`"
    assert missing_paths(text) == ["rooms/gone.py", "tests/gone/"]


def test_a_dead_link_is_found():
    page = PROJECT / "docs" / "README.md"
    text = "# A `b` & c, again\n[1](#a-b--c-again) [2](guides/sign-in.md#get-a-token) [3](../LICENSE) ![4](https://x.y)"
    assert list(dead(page, text.replace("#a-b--c-again", "realtime.md"))) == []
    assert anchors(text) == {"a-b--c-again"}
    assert list(dead(page, "[1](guides/sign-out.md)")) == ["guides/sign-out.md: no such file"]
    assert list(dead(page, "[1](guides/sign-in.md#out)")) == ["guides/sign-in.md#out: no such heading"]
    assert list(dead(page, "[1][a]\n![2](no.png)")) == ["no.png: no such file"]


def test_links_are_found():
    assert sum(len(links(page.read_text())) for page in PAGES) > 20
