"""What the documentation tells a reader to type is typed, and the answers are those that it shows."""

from pathlib import Path

import pytest

from hotelmate.local.datadir import PROJECT
from tests.docs.pages import Exchange, Page, problems, read

GUIDES = PROJECT / "docs" / "guides"
PAGES = [PROJECT / "README.md", *sorted(GUIDES.glob("*.md"))]


def page_of(path: Path) -> Page:
    """The page; a guide but the first begins where the first one's variables are set."""
    page = read(path.read_text())
    if path.parent == GUIDES and path.name != "sign-in.md":
        page.exchanges.insert(0, variables())
    return page


def variables() -> Exchange:
    return read((GUIDES / "sign-in.md").read_text()).exchanges[0]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_does_what_it_says(house, path):
    page = page_of(path)
    played = house.play(page)
    assert problems(page, played) == []
