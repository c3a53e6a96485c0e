"""The documentation's commands are run, and their output is what the pages show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.datadir import PROJECT
from tests.docs.conftest import PASSWORD, require_curl
from tests.docs.excerpts import differences, excerpt
from tests.docs.pages import Page, problems, read
from tests.notifications.conftest import until

GUIDES = PROJECT / "docs" / "guides"
FIRST = GUIDES / "sign-in.md"
# tests/rooms/test_imports.py follows the guide that has no requests.
OTHERS = {"set-up-rooms.md"}
PAGES = [PROJECT / "README.md", *sorted(path for path in GUIDES.glob("*.md") if path.name not in OTHERS)]
REALTIME = (PROJECT / "docs" / "realtime.md").read_text()


def page_of(path: Path, text: str = "") -> Page:
    """The page, with another text if given; every guide except the first starts with the first one's variables set."""
    page = read(text or path.read_text())
    if path.parent == GUIDES and path != FIRST:
        page.exchanges.insert(0, read(FIRST.read_text()).exchanges[0])
    return page


def mistakes(text: str) -> Iterator[str]:
    """Copies of the text, each with one mistake in its expected output: a key, a word, a status."""
    for block in re.finditer(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for key in re.finditer(r'"(\w+)":(?: "([A-Z_a-z. ]{3,})"| (true|false|null))?', block[1]):
            for part in (1, 2, 3):
                if key[part]:
                    start, end = (block.start(1) + at for at in key.span(part))
                    yield f"{text[:start]}{'0' if part == 3 else 'wrong'}{text[end:]}"
    for status in re.finditer(r"\*\*([45]\d\d|20\d)\*\*", text):
        yield f"{text[: status.start(1)]}418{text[status.end(1) :]}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_a_page_work(docs_site, path):
    page = page_of(path)
    played = docs_site.play(page)
    assert problems(page, played) == []
    # Every part of the page is checked.
    wrong = list(mistakes(path.read_text()))
    assert len(wrong) > 5
    for text in wrong:
        assert problems(page_of(path, text), played), text


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("$HOTEL/me/", "$HOTEL/you/", "the answer is 404, of which the page says nothing"),
        ("$API/logout/", "$API/login/", "the page says 204, the answer is 400"),
        ("curl -s $HOTEL/me/", "curl --no-such-option $HOTEL/me/", "it complains: curl: option --no-such-option"),
        ("curl -s $HOTEL/me/", "cur1 -s $HOTEL/me/", "cur1: command not found"),
        ('-H "$MAEVE" | python3', '-H "$NOBODY" | python3', "the answer is 401, of which the page says nothing"),
        ("-X POST $API/logout/", "$API/logout/", "the page says 204, the answer is 405"),
        ('housekeeper", "password": "wrong"', 'housekeeper"', "the page says 401, the answer is 400"),
        ("resort-housekeeper", "city-frontdesk", "exits 1"),
        ("8000/api", "8000/ipa", "404"),
    ],
)
def test_a_wrong_command_is_detected(docs_site, right, wrong, problem):
    text = FIRST.read_text()
    assert right in text
    page = page_of(FIRST, text.replace(right, wrong))
    assert problem in "\n".join(problems(page, docs_site.play(page)))


def test_a_missing_live_line_is_detected(docs_site, monkeypatch):
    path = GUIDES / "follow-live.md"
    monkeypatch.setattr("tests.docs.pages.PATIENCE", 0.5)
    page = page_of(path, path.read_text().replace("#256 room 129: room_updated", "#256 room 129: room_painted"))
    [problem] = problems(page, docs_site.play(page))
    assert "nothing prints '#256 room 129: room_painted'" in problem


def test_live_events_match_their_page(docs_site):
    api = f"{docs_site.address}/api"
    member = requests.post(
        f"{api}/staff/login/", json={"username": "resort-housekeeper", "password": PASSWORD}, timeout=10
    ).json()
    hotel, headers = f"{api}/staff/hotel/resort", {"Authorization": f"Token {member['token']}"}

    def events(query: str) -> dict:
        [address] = re.findall(
            r"`GET /api(/staff/hotel/\{slug\}/events/\?channel=rooms&after=422&limit=500)`", REALTIME
        )
        address = address.replace("{slug}", "resort").replace("&after=422", query)
        return requests.get(api + address, headers=headers, timeout=10).json()

    last = events("")["latest_seq"]
    dashboard = requests.get(f"{hotel}/housekeeping/dashboard/", headers=headers, timeout=10).json()
    number = dashboard["rooms_by_status"]["CLEANING_IN_PROGRESS"][0]["room_number"]
    requests.post(f"{hotel}/rooms/{number}/mark-cleaned/", headers=headers, timeout=10)
    [envelope] = until(lambda: events(f"&after={last}")["results"])
    [shown] = re.findall(r"^```json\n(.*?)^```$", REALTIME, re.MULTILINE | re.DOTALL)
    assert list(differences(excerpt(shown), envelope)) == []
    for path in re.findall(r"`(?:POST )?(?:/api)?(/pusher/auth/?)`", REALTIME):
        for prefix in (api, docs_site.address):
            channel = {"socket_id": "123.456", "channel_name": "private-resort.rooms"}
            answer = requests.post(prefix + path, data=channel, headers=headers, timeout=10)
            assert (answer.status_code, [*answer.json()]) == (200, ["auth"])


def test_missing_curl_is_reported(monkeypatch):
    require_curl()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"^The documentation's requests are made with curl, and .*\.$"):
        require_curl()
