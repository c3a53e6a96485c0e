"""POST rooms/{rid}/status/ as its clients use it."""

from tests.conftest import url
from tests.factories import room_in


def test_a_housekeeper_reports_a_room_cleaned(api, hotel, housekeeper):
    room = room_in("CLEANING_IN_PROGRESS", hotel=hotel)
    answer = api(housekeeper).post(
        url(housekeeper, f"rooms/{room.pk}/status/"), {"to_status": "CLEANED_UNINSPECTED", "note": "towels"}, "json"
    )
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert body["room"]["room_status"] == "CLEANED_UNINSPECTED"
    assert body["room"]["cleaned_by_staff"] == housekeeper.name
    assert body["status_event"]["from_status"] == "CLEANING_IN_PROGRESS"
